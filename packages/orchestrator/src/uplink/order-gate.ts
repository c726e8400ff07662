/**
 * The gate every order passes before the machine sees it.
 *
 * An order counts only when it is signed by the key the root vouched for, names this orchestrator, this customer and this
 * session, has a higher sequence than every order before it, and has not expired by the manager's own clock (estimated from
 * the time it told us, so that a wrong clock on this machine neither kills good orders nor revives old ones).
 */
import type { ManagerFrameOf, OrderBody } from '@muster/contract';
import { verifyDocument } from '@muster/runtime';

export interface OrderScope {
  readonly customerId: string;
  readonly orchestratorId: string;
  readonly session: string;
  /** Public key that signs orders in this session. */
  readonly signer: string;
  /** Last moment that key may sign, Unix ms. */
  readonly signerUntil: number;
}

export type OrderVerdict =
  | { readonly ok: true; readonly body: OrderBody }
  | { readonly ok: false; readonly reason: string };
/** Clocks of two machines drift between two messages; an order this much over its time is still taken, ms. */
const EXPIRY_TOLERANCE_MS = 2_000;

export class OrderGate {
  readonly #scope: OrderScope;
  readonly #managerWall: () => number;
  #lastSequence = -1;

  constructor(scope: OrderScope, managerWall: () => number) {
    this.#scope = scope;
    this.#managerWall = managerWall;
  }

  check(frame: ManagerFrameOf<'order'>): OrderVerdict {
    const { customerId, orchestratorId, session, signer, signerUntil } = this.#scope;
    const { doc, sig } = frame;
    const verified = verifyDocument('order', { doc, sig, key: signer }, signer);
    if (!verified.ok) return refused(verified.reason);
    if (doc.orchestratorId !== orchestratorId) return refused('another orchestrator');
    if (doc.customerId !== customerId) return refused('another customer');
    if (doc.session !== session) return refused('another session');
    if (doc.sequence <= this.#lastSequence) return refused('sequence not rising');
    const wall = this.#managerWall();
    if (wall > doc.expiresAt + EXPIRY_TOLERANCE_MS) return refused('expired');
    if (wall > signerUntil + EXPIRY_TOLERANCE_MS) return refused('signing key expired');
    this.#lastSequence = doc.sequence;
    return { ok: true, body: doc.body };
  }
}

const refused = (reason: string): OrderVerdict => ({ ok: false, reason });
