import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createJoinSecret, encodeJoinToken, VariableInvalid } from '@muster/runtime';
import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

const token = encodeJoinToken({
  customer: 'acme',
  id: 'token1',
  rootKeyHash: 'ab'.repeat(32),
  caHash: null,
  secret: createJoinSecret(),
});

describe('the settings of an orchestrator', () => {
  it('have defaults that start without a manager', () => {
    const config = readConfig({});
    expect(config).toMatchObject({
      apiPort: 8001,
      bind: '127.0.0.1',
      maxAgents: 10,
      autoRegister: true,
      managerUrl: null,
      heartbeatIntervalMs: 30_000,
    });
    expect(config.remarks.join()).toContain('CENTRAL_MANAGER_URL is not set');
  });

  it('keep orchestrator_id as text or number as given', () => {
    expect(readConfig({ AGENT_CONFIG: '{"orchestrator_id":7}' }).orchestratorNumber).toBe(7);
    expect(readConfig({ AGENT_CONFIG: '{"orchestrator_id":"seven"}' }).orchestratorNumber).toBe('seven');
    expect(readConfig({ ORCHESTRATOR_ID: '7' }).orchestratorNumber).toBe('7');
    expect(
      readConfig({ ORCHESTRATOR_ID: '7', AGENT_CONFIG: '{"orchestrator_id":7}' }).orchestratorNumber,
    ).toBe(7);
  });

  it('take capabilities and the ceiling of agents from AGENT_CONFIG', () => {
    const config = readConfig({
      AGENT_CONFIG: '{"capabilities":["trading","gpu"],"max_agents":3,"unknown":true}',
    });
    expect(config).toMatchObject({ capabilities: ['trading', 'gpu'], maxAgents: 3 });
  });

  it.each([
    ['AGENT_CONFIG', { AGENT_CONFIG: '{"capabilities":' }],
    ['AGENT_CONFIG', { AGENT_CONFIG: '[]' }],
    ['AGENT_CONFIG', { AGENT_CONFIG: '{"max_agents":-1}' }],
    ['AGENT_CONFIG', { AGENT_CONFIG: '{"capabilities":[1]}' }],
    ['AGENT_CONFIG', { AGENT_CONFIG: '{"orchestrator_id":1.5}' }],
    ['ORCHESTRATOR_ID', { ORCHESTRATOR_ID: '8', AGENT_CONFIG: '{"orchestrator_id":7}' }],
    ['AGENT_ID', { AGENT_ID: '../up' }],
    ['AGENT_PORT', { AGENT_PORT: '65536' }],
    ['CENTRAL_MANAGER_URL', { CENTRAL_MANAGER_URL: 'ftp://manager' }],
    ['CENTRAL_MANAGER_URL', { CENTRAL_MANAGER_URL: 'https://user:word@manager' }],
    ['JOIN_TOKEN', { JOIN_TOKEN: 'm1.acme.token1' }],
    ['LOOPBACK_REWRITE', { LOOPBACK_REWRITE: 'always' }],
  ])('stop the start naming %s for %j', (variable, environment) => {
    expect(() => readConfig(environment)).toThrow(VariableInvalid);
    expect(() => readConfig(environment)).toThrow(new RegExp(`^${variable}`));
  });

  it('never repeat a secret in an error', () => {
    const spoiled = `${token}x`;
    expect(() => readConfig({ JOIN_TOKEN: spoiled })).not.toThrow(spoiled.slice(-20));
  });

  it('may come from files', () => {
    const directory = mkdtempSync(join(tmpdir(), 'config-test-'));
    writeFileSync(join(directory, 'token'), `${token}\n`);
    expect(readConfig({ JOIN_TOKEN_FILE: join(directory, 'token') }).joinToken?.id).toBe('token1');
    rmSync(directory, { recursive: true });
  });

  it('say what has no effect', () => {
    const { remarks } = readConfig({
      REDIS_URL: 'redis://x',
      AUTO_REGISTER: 'false',
      JOIN_TOKEN: token,
      ADMIN_PASSWORD: 'word',
    });
    expect(remarks.map((line) => line.split(' ')[0])).toEqual(['REDIS_URL', 'JOIN_TOKEN', 'AUTO_REGISTER']);
  });
});
