/** The environment variables of the processes as their help shows them. Every one may also come from a file: NAME_FILE. */

/** Name, default (empty: none), meaning. */
export type Variable = readonly [name: string, otherwise: string, meaning: string];

export const managerVariables: readonly Variable[] = [
  ['ENVIRONMENT', 'development', 'production refuses weak or missing secrets'],
  ['PORT', '8000', 'the only port'],
  ['BIND', '127.0.0.1', 'address to listen on; 0.0.0.0 for all'],
  ['DATA_DIR', '.muster/manager', 'journal, keys, secrets'],
  ['ADMIN_PASSWORD', 'made once', 'password of the first administrator, admin'],
  ['ADMIN_EMAIL', 'admin@trading.system', 'its second name'],
  ['JWT_SECRET', 'made once', 'what sign-in tokens are derived from'],
  ['MASTER_SECRET_KEY', '', 'demanded in production; no effect yet'],
  ['TLS_CERT, TLS_KEY', '', 'PEM or files; together they switch HTTPS on'],
  ['ALLOWED_IPS', 'everybody', 'addresses and ranges that may connect'],
  ['TRUSTED_PROXIES', 'none', 'proxies whose X-Forwarded-For counts'],
  ['ENABLE_DISTRIBUTED', 'true', 'false: only orchestrators of this machine may join'],
  [
    'DIRECT_ORCHESTRATORS',
    'allow, in production deny',
    'programs that register over REST; listed, not called',
  ],
  ['DIRECT_CALLBACK_ALLOW', 'none', 'accepted, no effect yet: no program is called back'],
  ['TOKEN_TTL', '24h', 'how long a sign-in is valid'],
  ['LOG_LEVEL, LOG_FORMAT', 'info', 'trace … fatal; json or text'],
];

export const orchestratorVariables: readonly Variable[] = [
  ['CENTRAL_MANAGER_URL', '', 'the manager, https://… or http://…'],
  ['JOIN_TOKEN', '', 'from muster token create; needed once'],
  ['ADMIN_PASSWORD', '', 'joins without a token; development only'],
  ['AGENT_ID', "from the machine's name", 'the identity of this orchestrator'],
  ['CONTAINER_NAME', 'AGENT_ID', 'its name for people'],
  ['AGENT_TYPE', 'orchestrator', 'shown, decides nothing'],
  ['AGENT_PORT', '8001', "port of the local operator's API"],
  ['BIND', '127.0.0.1', 'address that it listens on'],
  ['DATA_DIR', '.muster/orchestrator', 'identity, journal, agents'],
  ['ORCHESTRATOR_ID', '', 'what agent_config.orchestrator_id names'],
  ['AGENT_CONFIG', '{}', 'JSON {capabilities, max_agents, orchestrator_id}'],
  ['EXTERNAL_IP', "the machine's name", 'address shown for this machine'],
  ['AUTO_REGISTER', 'true', 'false: works without a manager'],
  ['HEARTBEAT_INTERVAL', '30', 'upper bound of the beat, seconds'],
  ['STOP_AGENTS_ON_EXIT', 'false', 'as --stop-agents'],
  ['LOOPBACK_REWRITE', 'auto', 'host.docker.internal for loopback addresses, or off'],
  ['HTTPS_PROXY, NO_PROXY', '', 'the way out'],
  ['NODE_EXTRA_CA_CERTS', '', 'further authorities to trust'],
  ['MUSTER_MARKET_DATA', '', 'directory with further prices for agents'],
  ['LOG_LEVEL, LOG_FORMAT', 'info', 'trace … fatal; json or text'],
];

export const upVariables: readonly Variable[] = [
  ['PORT', '8000', 'as --port'],
  ['AGENT_PORTS', '8001, 8002, …', 'as --agent-ports'],
  ['ORCHESTRATORS', '2', 'as --orchestrators'],
  ['DATA_DIR', './.muster', 'as --data'],
  ['NO_COLOR', '', 'no colours'],
  ['all of muster manager', '', 'passed through: ADMIN_PASSWORD, DIRECT_CALLBACK_ALLOW, …'],
];

export function variableTable(variables: readonly Variable[]): string {
  const nameWidth = Math.max(...variables.map(([name]) => name.length));
  const lines = variables.map(([name, otherwise, meaning]) => {
    const shown = otherwise === '' ? '' : ` (${otherwise})`;
    return `  ${name.padEnd(nameWidth)}  ${meaning}${shown}`;
  });
  return ['\nEnvironment (each also as NAME_FILE):', ...lines].join('\n');
}
