import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { HostMeter, healthScore } from './host-facts.ts';

describe('the health score', () => {
  const calm = { loadPerCore: 0.2, memoryPercent: 30, diskPercent: 40 };

  it('is 100 for a calm machine and 0 for one at all its limits', () => {
    expect(healthScore(calm)).toBe(100);
    expect(healthScore({ loadPerCore: 9, memoryPercent: 100, diskPercent: 100 })).toBe(0);
  });

  it('falls with load, memory and disk, each on its own', () => {
    expect(healthScore({ ...calm, loadPerCore: 1.35 })).toBe(80);
    expect(healthScore({ ...calm, memoryPercent: 84 })).toBe(80);
    expect(healthScore({ ...calm, diskPercent: 92 })).toBe(90);
  });
});

describe('what is measured', () => {
  it('is plausible on this machine', () => {
    const { health, resources } = new HostMeter(tmpdir()).measure();
    expect(health).toBeGreaterThanOrEqual(0);
    expect(health).toBeLessThanOrEqual(100);
    expect(resources['cpu_count']).toBeGreaterThan(0);
    for (const name of ['cpu_usage_percent', 'memory_percent', 'disk_percent']) {
      expect(resources[name]).toBeGreaterThanOrEqual(0);
      expect(resources[name]).toBeLessThanOrEqual(100);
    }
    expect(resources['memory_limit']).toBeGreaterThan(1_000_000);
  });
});
