/** Files that the flags of another issuer name. */
import { ControlError } from "../errors.ts";
import type { OidcSettings } from "./mod.ts";

/** Settings of an issuer as the flags have them: with the names of files. */
export type OidcFlags = OidcSettings & { caFile?: string; secretFile?: string };

/** Longest secret of a client, in bytes. */
const MAX_SECRET = 1024;

/** The issuer's settings with its files read; ControlError, exit code 2, for one that cannot be used. */
export async function readOidc(
  given: OidcFlags | undefined,
): Promise<OidcSettings | undefined> {
  if (given === undefined) return undefined;
  const { caFile, secretFile, ...settings } = given;
  return {
    ...settings,
    ...(caFile === undefined ? {} : { caCerts: await authorities(caFile) }),
    ...(secretFile === undefined ? {} : { webClientSecret: await secret(secretFile) }),
  };
}

async function authorities(file: string): Promise<string[]> {
  const pem = await read("--oidc-ca", file);
  const certs = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (certs.length === 0) {
    throw new ControlError(`--oidc-ca ${file} holds no certificate in PEM`, { exitCode: 2 });
  }
  return certs;
}

/** One line; what it says is in no message. */
async function secret(file: string): Promise<string> {
  const text = (await read("--oidc-client-secret-file", file)).trim();
  if (!new RegExp(`^[\\x21-\\x7e]{1,${MAX_SECRET}}$`).test(text)) {
    throw new ControlError(
      `--oidc-client-secret-file ${file}: put the secret there and nothing else, one line of at ` +
        `most ${MAX_SECRET} characters`,
      { exitCode: 2 },
    );
  }
  return text;
}

async function read(flag: string, file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (cause) {
    throw new ControlError(`Cannot read ${flag} ${file}; check path and permissions`, {
      cause,
      exitCode: 2,
    });
  }
}
