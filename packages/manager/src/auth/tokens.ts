/**
 * Sign-in tokens: JWT, HS256 with a key derived from JWT_SECRET, used by people and programs, never by our orchestrators.
 *
 * Algorithm, type, issuer, audience and key id are pinned; nothing in a token chooses how it is checked. A token says who, not
 * what: role and customer are read from the user at every request, and the token dies with the user's token version.
 */
import { createHash, hkdfSync, randomUUID } from 'node:crypto';
import type { Secret } from '@muster/runtime';
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose';

const issuer = 'muster';
const audience = 'muster-api';
const type = 'at+jwt';

export type TokenVerdict =
  | {
      readonly kind: 'valid' | 'expired';
      readonly userId: string;
      readonly version: number;
      readonly expiresAtMs: number;
    }
  | { readonly kind: 'invalid' };

export class Tokens {
  readonly #key: Uint8Array;
  readonly #keyId: string;
  readonly lifetimeMs: number;

  constructor(secret: Secret, lifetimeMs: number) {
    this.#key = new Uint8Array(hkdfSync('sha256', secret.reveal(), '', 'muster.sign-in-token.v1', 32));
    this.#keyId = createHash('sha256').update('muster.kid.v1\n').update(this.#key).digest('hex').slice(0, 16);
    this.lifetimeMs = lifetimeMs;
  }

  /** A token for `userId`, valid from `nowWall` (Unix ms). */
  issue(userId: string, version: number, nowWall: number): Promise<string> {
    const issuedAt = Math.floor(nowWall / 1000);
    return new SignJWT({ ver: version })
      .setProtectedHeader({ alg: 'HS256', typ: type, kid: this.#keyId })
      .setSubject(userId)
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + Math.floor(this.lifetimeMs / 1000))
      .setJti(randomUUID())
      .sign(this.#key);
  }

  /** Judge a token at `nowWall`. `expired` means: correctly signed by us, and too old. Never throws. */
  async verify(token: string, nowWall: number): Promise<TokenVerdict> {
    if (token.length > 4096) return { kind: 'invalid' };
    try {
      const { payload, protectedHeader } = await jwtVerify(token, this.#key, {
        algorithms: ['HS256'],
        issuer,
        audience,
        typ: type,
        requiredClaims: ['sub', 'exp', 'iat', 'ver'],
        currentDate: new Date(nowWall),
      });
      return protectedHeader.kid === this.#keyId ? verdictOf('valid', payload) : { kind: 'invalid' };
    } catch (error) {
      // The signature is checked before the dates, so an expired token is one of ours.
      return error instanceof errors.JWTExpired ? verdictOf('expired', error.payload) : { kind: 'invalid' };
    }
  }
}

function verdictOf(kind: 'valid' | 'expired', payload: JWTPayload): TokenVerdict {
  const { sub, exp, ver } = payload;
  if (typeof sub !== 'string' || typeof exp !== 'number' || typeof ver !== 'number')
    return { kind: 'invalid' };
  return { kind, userId: sub, version: ver, expiresAtMs: exp * 1000 };
}
