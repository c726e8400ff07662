/** The public door of the runtime: the driver and the ports it hands to machines, and what every process needs around them. */

export { canonicalJson, NotCanonical } from '@muster/core';
export { atomicWriteFile } from './atomic-file.ts';
export { type Clock, systemClock, type TimeSources } from './clock.ts';
export {
  type DataDirectory,
  DataDirectoryInUse,
  DataDirectoryUnwritable,
  openDataDirectory,
} from './data-dir.ts';
export {
  type Delegation,
  type DelegationRefusal,
  delegate,
  type Refusal,
  type SignedDocument,
  signDocument,
  type Verified,
  verifyDelegation,
  verifyDocument,
} from './delegation.ts';
export { Driver, type DriverOptions, type DriverStats, type EffectHandlers, slowStepMs } from './driver.ts';
export {
  type Environment,
  readBoolean,
  readChoice,
  readDurationMs,
  readInteger,
  readSecret,
  readVariable,
  VariableInvalid,
} from './environment.ts';
export {
  createJoinSecret,
  encodeJoinToken,
  type JoinToken,
  JoinTokenInvalid,
  joinSecretHash,
  parseJoinToken,
} from './join-token.ts';
export {
  genesisHash,
  type Journal,
  type JournalContents,
  JournalDamaged,
  JournalFailed,
  type JournalHead,
  type JournalVerdict,
  type StoredRecord,
  type StoredSnapshot,
} from './journal.ts';
export { MemoryJournal } from './journal-memory.ts';
export { openSqliteJournal, type SqliteJournal, verifySqliteJournal } from './journal-sqlite.ts';
export {
  fingerprint,
  generateKey,
  generateSealingKey,
  KeyFileRefused,
  loadOrCreateKey,
  loadOrCreateSealingKey,
  type SealingKey,
  type SigningKey,
  sign,
  verify,
} from './keys.ts';
export {
  createLog,
  type LogFormat,
  type Logger,
  type LogLevel,
  type LogOptions,
  noteToLog,
  readableLine,
  readLogFormat,
  readLogLevel,
} from './log.ts';
export {
  type CounterMetric,
  createMetrics,
  type GaugeMetric,
  type HistogramMetric,
  type Labels,
  type Metrics,
} from './metrics.ts';
export { base32, systemRandom } from './random.ts';
export { open, seal } from './sealed-box.ts';
export { constantTimeEqual, Secret } from './secret.ts';
export {
  exitCodes,
  installShutdown,
  type Shutdown,
  type ShutdownOptions,
  type ShutdownProcess,
} from './shutdown.ts';
