/**
 * Where a customer's machines and users may come from. The manager's own ALLOWED_IPS is for everybody and is judged before;
 * this is the customer's list on top of it. The list is the journal's; parsed lists are kept as long as it is the same.
 */
import type { Facts } from '@muster/core/manager';
import { type AddressList, addressListOf } from '../config.ts';

const parsed = new WeakMap<readonly string[], AddressList>();

/** Whether `address` may act for the customer. An unknown customer has no list. */
export function mayComeFrom(facts: Facts, customerId: string | null, address: string): boolean {
  const entries = customerId === null ? null : (facts.customers.get(customerId)?.allowedIps ?? null);
  if (entries === null) return true;
  let list = parsed.get(entries);
  if (list === undefined) {
    list = addressListOf('allowed_ips', entries);
    parsed.set(entries, list);
  }
  return list.has(address);
}
