/**
 * A secret that only one machine can open, so that what passes it on never holds the plain text.
 *
 * X25519 with a fresh key per box, HKDF-SHA256 over the shared secret (salt: both public keys; info: the context), AES-256-GCM.
 * The context says what the secret is for (customer, agent, name): a box moved to another place does not open. As every box
 * has its own key, the all-zero nonce is used once per key.
 * Text form: `s1.<ephemeral public key>.<cipher text and tag>`, base64url.
 */
import { createCipheriv, createDecipheriv, diffieHellman, hkdfSync, type KeyObject } from 'node:crypto';
import { generateSealingKey, publicKeyOf, type SealingKey } from './keys.ts';
import { Secret } from './secret.ts';

const domain = 'muster.sealed-box.v1\n';
const tagBytes = 16;
const nonce = Buffer.alloc(12);

/** Seals for the holder of the X25519 key `recipientPublicKeyText`. Throws `TypeError` when that is no usable key. */
export function seal(secret: Secret, recipientPublicKeyText: string, context: string): string {
  const recipient = publicKeyOf(recipientPublicKeyText, 'x25519');
  if (recipient === null) throw new TypeError('The recipient is not a base64url X25519 public key');
  const ephemeral = generateSealingKey();
  const key = boxKey(
    ephemeral.privateKey,
    recipient,
    ephemeral.publicKeyText,
    recipientPublicKeyText,
    context,
  );
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const body = Buffer.concat([cipher.update(secret.reveal(), 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return `s1.${ephemeral.publicKeyText}.${body.toString('base64url')}`;
}

/** Opens a box; `null` when it is not for this key and context, or was changed. Never throws. */
export function open(box: string, recipient: SealingKey, context: string): Secret | null {
  const match = /^s1\.([\w-]{43})\.([\w-]+)$/.exec(box);
  const ephemeralText = match?.[1] ?? '';
  const body = Buffer.from(match?.[2] ?? '', 'base64url');
  const ephemeral = publicKeyOf(ephemeralText, 'x25519');
  if (ephemeral === null || body.length < tagBytes || body.toString('base64url') !== match?.[2]) return null;
  try {
    const key = boxKey(recipient.privateKey, ephemeral, ephemeralText, recipient.publicKeyText, context);
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
    decipher.setAuthTag(body.subarray(-tagBytes));
    const text = Buffer.concat([decipher.update(body.subarray(0, -tagBytes)), decipher.final()]);
    return new Secret(text.toString('utf8'));
  } catch {
    return null;
  }
}

function boxKey(
  own: KeyObject,
  other: KeyObject,
  ephemeralText: string,
  recipientText: string,
  context: string,
): Buffer {
  const shared = diffieHellman({ privateKey: own, publicKey: other });
  return Buffer.from(
    hkdfSync('sha256', shared, `${ephemeralText}.${recipientText}`, `${domain}${context}`, 32),
  );
}
