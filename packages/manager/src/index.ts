/** The public door of the manager: start one, and the errors a start can end with. */
export { ADMIN_NAME } from './administrator.ts';
export { type ManagerSettings, readManagerSettings, SettingsRefused } from './config.ts';
export { type ManagerOptions, PortUnavailable, type RunningManager, startManager } from './main.ts';
export { MANAGER_VERSION } from './version.ts';
