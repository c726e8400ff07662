/**
 * The manager's settings, from environment variables alone.
 *
 * Every variable that is accepted has an effect or gets a notice that says why not. In production a short, missing or
 * placeholder secret stops the start; otherwise a given value is used as given, with one warning when it is weak, and a
 * missing one is made and kept (`secrets.ts`). No message repeats a value.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import { DEFAULT_BEAT_INTERVAL_MS } from '@muster/contract';
import {
  type Environment,
  readBoolean,
  readChoice,
  readDurationMs,
  readInteger,
  readSecret,
  readVariable,
  Secret,
  VariableInvalid,
} from '@muster/runtime';

export interface ManagerSettings {
  readonly production: boolean;
  readonly bind: string;
  /** 0: any free port; the real one is reported. */
  readonly port: number;
  readonly dataDirectory: string;
  /** False: only orchestrators that call from this machine may join. */
  readonly distributed: boolean;
  readonly jwtSecret: Secret | undefined;
  readonly adminPassword: Secret | undefined;
  readonly adminEmail: string;
  readonly tls: TlsSettings | null;
  /** Who may connect at all; null: everybody. */
  readonly allowedIps: AddressList | null;
  readonly trustedProxies: readonly string[];
  /** Whether programs may register directly by a sign-in token. */
  readonly directOrchestrators: boolean;
  readonly beatIntervalMs: number;
  readonly tokenLifetimeMs: number;
  /** REDIS_URL is set; nothing more than to be said. */
  readonly redisConfigured: boolean;
  /** Lines for the log at start. */
  readonly warnings: readonly string[];
  readonly notices: readonly string[];
}

export interface TlsSettings {
  /** PEM, leaf first. */
  readonly certificate: string;
  readonly key: Secret;
  /** SHA-256 of the chain's last certificate (DER), hex, when it signed itself: machines must be told of it. Null: public. */
  readonly privateCaHash: string | null;
}

/** The start is refused; the message says what to change. */
export class SettingsRefused extends Error {
  override readonly name = 'SettingsRefused';
}

/** Addresses and CIDR ranges. */
export interface AddressList {
  has(address: string): boolean;
}

/** Read and judge the settings. Throws `VariableInvalid` or `SettingsRefused`, one clear line each. */
export function readManagerSettings(environment: Environment): ManagerSettings {
  const production = readChoice(environment, 'ENVIRONMENT', ['development', 'production']) === 'production';
  if (readVariable(environment, 'DATABASE_URL') !== undefined) {
    throw new SettingsRefused(
      'DATABASE_URL is set, but this version keeps its journal in DATA_DIR only. Unset DATABASE_URL to start.',
    );
  }
  const notices: string[] = [];
  const warnings: string[] = [];
  const secrets = readSecrets(environment, production, warnings);
  if (readVariable(environment, 'REDIS_URL') !== undefined) {
    notices.push('REDIS_URL is set; this version keeps everything embedded and does not use Redis.');
  }
  if (secrets.master !== undefined) {
    notices.push('MASTER_SECRET_KEY is set; this version stores no secret that it would have to encrypt.');
  }
  const callbackAllow = readAddressList(environment, 'DIRECT_CALLBACK_ALLOW');
  if (callbackAllow !== null) {
    notices.push(
      'DIRECT_CALLBACK_ALLOW is valid; it has no effect yet, as this version never calls a direct program.',
    );
  }
  const trusted = readList(environment, 'TRUSTED_PROXIES');
  addressListOf('TRUSTED_PROXIES', trusted);
  const direct = readChoice(environment, 'DIRECT_ORCHESTRATORS', ['allow', 'deny']);
  return {
    production,
    bind: readVariable(environment, 'BIND')?.trim() ?? '127.0.0.1',
    port: readInteger(environment, 'PORT', 0, 65535) ?? 8000,
    dataDirectory: readVariable(environment, 'DATA_DIR') ?? '.muster/manager',
    distributed: readBoolean(environment, 'ENABLE_DISTRIBUTED') ?? true,
    jwtSecret: secrets.jwt,
    adminPassword: secrets.admin,
    adminEmail: readEmail(environment),
    tls: readTls(environment),
    allowedIps: readAddressList(environment, 'ALLOWED_IPS'),
    trustedProxies: trusted,
    directOrchestrators: direct === undefined ? !production : direct === 'allow',
    beatIntervalMs: readInteger(environment, 'BEAT_INTERVAL_MS', 100, 60_000) ?? DEFAULT_BEAT_INTERVAL_MS,
    tokenLifetimeMs: readLifetime(environment),
    redisConfigured: readVariable(environment, 'REDIS_URL') !== undefined,
    warnings,
    notices,
  };
}

/** Default and bounds of a sign-in token's life, ms. */
const DAY_MS = 86_400_000;

function readLifetime(environment: Environment): number {
  const lifetimeMs = readDurationMs(environment, 'TOKEN_TTL') ?? DAY_MS;
  if (lifetimeMs < 60_000 || lifetimeMs > 30 * DAY_MS)
    throw new VariableInvalid('TOKEN_TTL', 'must be from 1m to 30d.');
  return lifetimeMs;
}

interface GivenSecrets {
  readonly jwt: Secret | undefined;
  readonly admin: Secret | undefined;
  readonly master: Secret | undefined;
}

function readSecrets(environment: Environment, production: boolean, warnings: string[]): GivenSecrets {
  const judged = (name: string, least: number): Secret | undefined => {
    const secret = readSecret(environment, name);
    const weakness = weaknessOf(secret, least);
    if (weakness === null) return secret;
    if (production) {
      throw new SettingsRefused(
        `${name} ${weakness}. With ENVIRONMENT=production a strong value is needed to start.`,
      );
    }
    if (secret !== undefined)
      warnings.push(`${name} ${weakness}. It is used as given; choose a stronger one.`);
    return secret;
  };
  return {
    jwt: judged('JWT_SECRET', 32),
    admin: judged('ADMIN_PASSWORD', 12),
    master: judged('MASTER_SECRET_KEY', 32),
  };
}

const placeholders =
  /^(your[-_ ]|change[-_ ]?me|changeit|placeholder|example|todo|xxx)|change[-_]?(me|this)|placeholder|shared-admin-password|^(password|secret|admin|administrator|letmein|test)\d*$|^(.)\4+$/i;

/** Why a secret must not guard anything, or null when it may. `least`: characters. */
export function weaknessOf(secret: Secret | undefined, least: number): string | null {
  if (secret === undefined) return 'is not set';
  const value = secret.reveal();
  if (value.length < least) return `is shorter than ${least} characters`;
  return placeholders.test(value) ? 'is a placeholder' : null;
}

function readEmail(environment: Environment): string {
  const email = readVariable(environment, 'ADMIN_EMAIL')?.trim() ?? 'admin@trading.system';
  if (!/^[^@\s]+@[^@\s]+$/.test(email))
    throw new VariableInvalid('ADMIN_EMAIL', 'must be an e-mail address.');
  return email;
}

function readTls(environment: Environment): ManagerSettings['tls'] {
  const certificate = readVariable(environment, 'TLS_CERT');
  const key = readSecret(environment, 'TLS_KEY');
  if (certificate === undefined && key === undefined) return null;
  if (certificate === undefined || key === undefined) {
    throw new SettingsRefused('TLS_CERT and TLS_KEY belong together: set both, or neither for plain HTTP.');
  }
  const pem = (name: string, text: string): string => {
    if (text.includes('-----BEGIN')) return text;
    try {
      return readFileSync(text, 'utf8');
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
      throw new VariableInvalid(name, `names a file that cannot be read (${code}).`);
    }
  };
  const chain = pem('TLS_CERT', certificate);
  const keyPem = pem('TLS_KEY', key.reveal());
  try {
    createSecureContext({ cert: chain, key: keyPem });
    return { certificate: chain, key: new Secret(keyPem), privateCaHash: privateCaHash(chain) };
  } catch {
    throw new SettingsRefused(
      'TLS_CERT and TLS_KEY do not hold a certificate and its private key in PEM form.',
    );
  }
}

function privateCaHash(chain: string): string | null {
  const last = chain.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g)?.at(-1) ?? '';
  const certificate = new X509Certificate(last);
  if (certificate.issuer !== certificate.subject) return null;
  return createHash('sha256').update(certificate.raw).digest('hex');
}

function readList(environment: Environment, name: string): string[] {
  const text = readVariable(environment, name) ?? '';
  return text
    .split(/[\s,]+/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function readAddressList(environment: Environment, name: string): AddressList | null {
  const parts = readList(environment, name);
  return parts.length === 0 ? null : addressListOf(name, parts);
}

/** Throws `VariableInvalid` naming `variable` when an entry is no address and no CIDR range. */
export function addressListOf(variable: string, parts: readonly string[]): AddressList {
  const list = new BlockList();
  for (const part of parts) {
    const [address = '', prefix, ...rest] = part.split('/');
    const version = isIP(address);
    const bits = prefix === undefined ? undefined : Number(prefix);
    const longest = version === 4 ? 32 : 128;
    const fits = bits === undefined || (/^\d{1,3}$/.test(prefix ?? '') && bits <= longest);
    if (version === 0 || rest.length > 0 || !fits) {
      throw new VariableInvalid(
        variable,
        'must be a list of addresses and CIDR ranges, such as 10.0.0.0/8, 192.0.2.7.',
      );
    }
    const family = version === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, bits, family);
  }
  return {
    has(address) {
      const plain = plainAddress(address);
      const version = isIP(plain);
      return version !== 0 && list.check(plain, version === 4 ? 'ipv4' : 'ipv6');
    },
  };
}

/** An address without the IPv4-in-IPv6 prefix and the zone. */
export function plainAddress(address: string): string {
  const bare = address.replace(/%.*$/, '');
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(bare) ? bare.slice(7) : bare;
}

const loopback = addressListOf('loopback', ['127.0.0.0/8', '::1']);
/** Whether an address is this machine's own loopback. */
export const isLoopback = (address: string): boolean => loopback.has(address);
