/** Every route of the manager, one resource after the other. */
import type { Services } from '../services.ts';
import { registerCustomers } from './administration/customers.ts';
import { registerJoinTokens } from './administration/join-tokens.ts';
import { registerUsers } from './administration/users.ts';
import { registerAgents } from './agents/agents.ts';
import { registerAgentCalls } from './agents/calls.ts';
import { registerOrders } from './agents/orders.ts';
import type { App } from './app.ts';
import { registerCommunication } from './communication/communication.ts';
import { registerContainers } from './containers/containers.ts';
import { registerDirectContainers } from './containers/direct.ts';
import { registerDeployments } from './deployments/deployments.ts';
import { registerDocumentation } from './documentation/documentation.ts';
import { registerEvents } from './events/events.ts';
import { registerActions } from './fleet/actions.ts';
import { registerDiscovery } from './fleet/discovery.ts';
import { registerOverview } from './fleet/overview.ts';
import { registerHealth } from './health/health.ts';
import { registerJoin } from './join/join.ts';
import { registerSignIn } from './sign-in/sign-in.ts';

export function registerRoutes(app: App, services: Services): void {
  registerHealth(app, services);
  registerSignIn(app, services);
  registerOverview(app, services);
  registerContainers(app, services);
  registerDirectContainers(app, services);
  registerDeployments(app, services);
  registerAgents(app, services);
  registerAgentCalls(app, services);
  registerOrders(app, services);
  registerActions(app, services);
  registerDiscovery(app, services);
  registerCommunication(app, services);
  registerEvents(app, services);
  registerJoinTokens(app, services);
  registerCustomers(app, services);
  registerUsers(app, services);
  registerJoin(app, services);
  registerDocumentation(app, services);
}
