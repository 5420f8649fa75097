/** The relays in the form that the reference's clients and tools read (tailcfg.DERPMap). */
import type { RelayRegionRow } from "../store/mod.ts";

interface DerpNode {
  Name: string;
  RegionID: number;
  HostName: string;
  /** Only where it is another than 443. */
  DERPPort?: number;
  /** Only where it is another than 3478; -1: none. */
  STUNPort?: number;
}

interface DerpRegion {
  RegionID: number;
  RegionCode: string;
  RegionName: string;
  /** Not to be chosen. */
  Avoid?: true;
  Nodes: DerpNode[];
}

/** Regions by their id, as JSON has it. */
export interface DerpMap {
  Regions: Record<string, DerpRegion>;
}

/**
 * The map of some relays. Those that are drained are left out of a region that has others; a region of
 * drained ones is one to avoid. A private CA cannot be said in this form.
 */
export function derpMap(rows: readonly RelayRegionRow[]): DerpMap {
  const regions: DerpMap["Regions"] = {};
  const ids = [...new Set(rows.map(({ region_id }) => region_id))];
  for (const id of ids) {
    const all = rows.filter(({ region_id }) => region_id === id);
    const serving = all.filter(({ drained }) => drained === 0);
    const shown = serving.length > 0 ? serving : all;
    const { name } = shown[0]!;
    regions[id] = {
      RegionID: id,
      RegionCode: codeOf(name),
      RegionName: name,
      ...(serving.length === 0 ? { Avoid: true as const } : {}),
      Nodes: shown.map((row, i) => ({
        // As the public relay's node is called: 900nex.
        Name: `${id}nex${i === 0 ? "" : i}`,
        RegionID: id,
        HostName: row.hostname,
        ...(row.port === 443 ? {} : { DERPPort: row.port }),
        ...(row.stun_port === 3478 ? {} : { STUNPort: row.stun_port === 0 ? -1 : row.stun_port }),
      })),
    };
  }
  return { Regions: regions };
}

/** A short name for machines. */
function codeOf(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 20) ||
    "relay";
}
