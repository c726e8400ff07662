/**
 * Numbers and times for people: relative times, byte counts, money, percentages. Independent of the machine's locale.
 */

const units: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
];

/** A length of time, rounded down to its largest unit: `12 s`, `3 min`, `5 h`, `2 d`. Negative counts as zero. */
export function duration(lengthMs: number): string {
  for (const [unit, unitMs] of units)
    if (lengthMs >= unitMs) return `${Math.floor(lengthMs / unitMs)} ${unit}`;
  return '0 s';
}

/** How long ago an ISO time was; `–` for none, `in …` for the future. */
export function relativeTime(time: string | null | undefined, nowMs: number): string {
  if (time === null || time === undefined) return '–';
  const atMs = Date.parse(time);
  if (Number.isNaN(atMs)) return '–';
  const passedMs = nowMs - atMs;
  if (passedMs < -1000) return `in ${duration(-passedMs)}`;
  return passedMs < 1000 ? 'now' : `${duration(passedMs)} ago`;
}

/** `1,234,567.89` */
export function amount(value: number, decimals = 2): string {
  const [whole = '0', fraction] = Math.abs(value).toFixed(decimals).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  const text = fraction === undefined ? grouped : `${grouped}.${fraction}`;
  return value < 0 && Number(text.replaceAll(',', '')) !== 0 ? `-${text}` : text;
}

/** A fraction as a percentage with its sign: `+1.25 %`. */
export function signedPercent(fraction: number): string {
  const text = amount(fraction * 100, 2);
  return `${text.startsWith('-') || text === '0.00' ? '' : '+'}${text} %`;
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `512 B`, `1.5 KiB`, `7.8 GiB`. */
export function byteCount(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < byteUnits.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${byteUnits[unit]}`;
}

/** The date of a moment, UTC: `2013-04-02`; with the time when it is not midnight: `2013-04-02 14:05`. */
export function moment(atMs: number): string {
  const text = new Date(atMs).toISOString();
  return text.slice(11, 16) === '00:00' ? text.slice(0, 10) : text.slice(0, 16).replace('T', ' ');
}
