/**
 * What a relay tells the devices of its VPC about itself.
 *
 * @module
 */
import type { CertMode } from "./settings.ts";

/** What agents of the VPC learn about the relay: its metadata, under the key `relay`. */
export interface OnboardMetadata {
  type: "derp";
  /** Name of its certificate, in every mode: an agent that is not told it cannot use the relay. */
  hostname: string;
  /** No public CA vouches for the name, and no DNS may know it: agents may pin it. */
  certmodemanual: boolean;
  /** TCP port, when it is not 443. */
  port?: number;
  /** PEM of the CA that signed its certificate, when that is its own. */
  ca?: string;
}

/** Makes it. */
export function metadataOf(
  { hostname, port, mode, ca }: {
    hostname: string;
    port: number;
    mode: CertMode;
    ca: string | undefined;
  },
): OnboardMetadata {
  return {
    type: "derp",
    hostname,
    certmodemanual: mode === "manual" || mode === "selfsigned",
    ...(port === 443 ? {} : { port }),
    ...(ca === undefined ? {} : { ca }),
  };
}
