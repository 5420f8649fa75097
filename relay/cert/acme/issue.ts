/**
 * One attempt: from an account to a certificate on disk (RFC 8555 section 7).
 *
 * @module
 */

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Authorization, Client, Order } from "acme-client";
import {
  canonicalName,
  type Certificate,
  coversName,
  factsOf,
  parseChain,
  parseKey,
} from "../inspect.ts";
import { loadLibrary } from "./library.ts";
import type { AcmeSettings, AlpnChallenge } from "./options.ts";
import { AcmeProblem, IssueError, printable, UnreachableError } from "./problem.ts";
import type { AcmeState, AcmeStore, PendingOrder } from "./store.ts";
import { Transport } from "./transport.ts";

/** Where answers to the CA's challenges are put. */
export interface Stage {
  settings: AcmeSettings;
  store: AcmeStore;
  /** Key authorizations by token, for HTTP-01. */
  tokens: Map<string, string>;
}

type Challenge = Authorization["challenges"][number];

/**
 * Gets a certificate and saves it.
 *
 * @throws {IssueError} in one sentence
 */
export async function issue(stage: Stage, signal: AbortSignal): Promise<Certificate> {
  const { settings } = stage;
  using transport = new Transport(settings.ca, signal, settings.now);
  try {
    return await transport.run(() => new Attempt(stage, transport, signal).run());
  } catch (error) {
    throw sentence(error, settings, signal);
  }
}

class Attempt {
  readonly #stage: Stage;
  readonly #transport: Transport;
  readonly #signal: AbortSignal;

  constructor(stage: Stage, transport: Transport, signal: AbortSignal) {
    this.#stage = stage;
    this.#transport = transport;
    this.#signal = signal;
  }

  async run(): Promise<Certificate> {
    const { settings, store } = this.#stage;
    const { Client } = await loadLibrary();
    const state = await store.state(settings.directoryUrl);
    const accountKey = await store.accountKey();
    const keyHash = createHash("sha256").update(accountKey).digest("hex");
    if (state.accountKey !== keyHash) {
      // The notes outlived the key. A new account, or the old one of a known key, costs one request.
      delete state.account;
      delete state.order;
      state.accountKey = keyHash;
    }
    const open = () =>
      new Client({
        directoryUrl: settings.directoryUrl,
        accountKey,
        ...(state.account === undefined ? {} : { accountUrl: state.account }),
        ...(settings.eab === undefined ? {} : { externalAccountBinding: settings.eab }),
      });
    let client = open();
    if (state.account === undefined) await this.#register(client, state);
    let made = await this.#order(client, state);
    if (made === "no account") {
      delete state.account; // the CA has forgotten us, as test servers do
      client = open();
      await this.#register(client, state);
      made = await this.#order(client, state);
      if (made === "no account") throw new IssueError("the CA does not keep the account");
    }
    const { order, key } = made;
    const certificate = await this.#fulfil(client, order, key);
    await store.save(certificate);
    delete state.order;
    await store.remember({ ...state, issuedBy: settings.directoryUrl });
    return certificate;
  }

  async #register(client: Client, state: AcmeState): Promise<void> {
    const { settings, store } = this.#stage;
    try {
      await client.createAccount({
        termsOfServiceAgreed: true,
        ...(settings.email === undefined ? {} : { contact: [`mailto:${settings.email}`] }),
      });
    } catch (error) {
      if (!(error instanceof AcmeProblem) || !refuses(error)) throw error;
      const remedy = settings.eab === undefined
        ? error.type === "externalAccountRequired"
          ? "give --acme-eab-kid and --acme-eab-key"
          : "check --acme-email"
        : "check --acme-eab-kid and --acme-eab-key";
      throw new IssueError(`the CA refuses the account (${error.message}); ${remedy}`, true);
    }
    state.account = client.getAccountUrl();
    await store.remember(state);
  }

  /** The order of an attempt that was cut short, if the CA still knows it, or a new one. */
  async #order(
    client: Client,
    state: AcmeState,
  ): Promise<{ order: Order; key: string } | "no account"> {
    const { store, settings } = this.#stage;
    const before = state.order === undefined ? undefined : await this.#resume(client, state.order);
    if (before !== undefined) return before;
    const { crypto: tools } = await loadLibrary();
    const key = (await tools.createPrivateEcdsaKey("P-256")).toString();
    let order: Order;
    try {
      order = await client.createOrder(await this.#request());
    } catch (error) {
      if (error instanceof AcmeProblem && error.type === "accountDoesNotExist") return "no account";
      if (error instanceof AcmeProblem && error.mistake) {
        throw new IssueError(
          `the CA gives none for this name (${error.message}); choose another --hostname than ` +
            `${settings.hostname}, or --certmode selfsigned`,
          true,
        );
      }
      throw error;
    }
    state.order = { url: order.url, key };
    await store.remember(state);
    return { order, key };
  }

  async #resume(
    client: Client,
    { url, key }: PendingOrder,
  ): Promise<{ order: Order; key: string } | undefined> {
    const { settings } = this.#stage;
    try {
      const order = await client.getOrder({ url } as Order);
      const named = new Set(order.identifiers.map(({ value }) => canonicalName(value)));
      // Begun before the certificate got another name.
      const other = named.size !== settings.names.length ||
        settings.names.some((name) => !named.has(name));
      return order.status === "invalid" || other ? undefined : { order, key };
    } catch (error) {
      if (error instanceof AcmeProblem && error.status < 429) return undefined; // long gone
      throw error;
    }
  }

  async #request(): Promise<Parameters<Client["createOrder"]>[0]> {
    const { isIp, names, profile, directoryUrl } = this.#stage.settings;
    const type = isIp ? "ip" : "dns";
    const request = { identifiers: names.map((value) => ({ type, value })) };
    if (profile === undefined) return request;
    const { body } = await this.#transport.request("get", directoryUrl, undefined);
    const { meta } = JSON.parse(body) as { meta?: { profiles?: Record<string, unknown> } };
    // A CA that lists no such profile would refuse the order (draft-ietf-acme-profiles).
    return Object.hasOwn(meta?.profiles ?? {}, profile)
      ? { ...request, profile } as never
      : request;
  }

  async #fulfil(client: Client, first: Order, key: string): Promise<Certificate> {
    const { crypto: tools } = await loadLibrary();
    const { settings } = this.#stage;
    let order = first;
    if (order.status === "pending") {
      for (const authorization of await client.getAuthorizations(order)) {
        if (authorization.status !== "valid") await this.#prove(client, authorization);
      }
      order = await this.#await(() => client.getOrder(order), ["pending"]);
    }
    if (order.status === "ready") {
      const [, request] = await tools.createCsr(
        { commonName: "", altNames: settings.names },
        key,
      );
      order = await client.finalizeOrder(order, request);
    }
    order = await this.#await(() => client.getOrder(order), ["processing", "ready"], order);
    if (order.status !== "valid") {
      const { detail } = (order.error ?? {}) as { detail?: unknown };
      throw new IssueError(
        `the CA gave the order up (${printable(String(detail ?? order.status))})`,
      );
    }
    const certificate = { cert: (await client.getCertificate(order)).trimEnd() + "\n", key };
    this.#check(certificate);
    return certificate;
  }

  /** Lets the CA see that the name is ours. */
  async #prove(client: Client, authorization: Authorization): Promise<void> {
    const { settings, tokens } = this.#stage;
    const find = (type: string) =>
      authorization.challenges.find((c) => (c.type as string) === type);
    const http = settings.http ? find("http-01") : undefined;
    const alpn = settings.presentAlpn === undefined ? undefined : find("tls-alpn-01");
    const challenge = http ?? alpn;
    if (challenge === undefined) {
      const kinds = authorization.challenges.map((c) => printable(c.type)).join(", ");
      throw new IssueError(
        `the CA checks this name by ${kinds} only; serve port 80 (--http-port)`,
        true,
      );
    }
    const answer = await client.getChallengeKeyAuthorization(challenge);
    try {
      if (challenge === http) {
        tokens.set(challenge.token, answer);
      } else {
        const { crypto: tools } = await loadLibrary();
        const [key, cert] = await tools.createAlpnCertificate(
          authorization,
          answer,
          await tools.createPrivateEcdsaKey("P-256"),
        );
        await this.#present({ cert: cert.toString(), key: key.toString() });
      }
      await client.completeChallenge(challenge);
      const look = async () =>
        (await client.getAuthorizations(
          { authorizations: [authorization.url] } as Order,
        ))[0]!;
      const seen = await this.#await(look, ["pending"]);
      if (seen.status === "valid") return;
      throw new IssueError(
        `the CA could not see that ${authorization.identifier.value} is here (${
          reasonOf(seen, challenge)
        }); ` +
          `let port ${challenge === http ? 80 : 443} of that name lead to this host`,
      );
    } finally {
      tokens.delete(challenge.token);
      if (challenge === alpn) await this.#present(undefined);
    }
  }

  async #present(challenge: AlpnChallenge | undefined): Promise<void> {
    try {
      await this.#stage.settings.presentAlpn?.(challenge);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new IssueError(`the TLS port cannot serve the proof (${printable(reason)})`);
    }
  }

  /** Looks until the status is another, as often as the CA likes. */
  async #await<T extends { status: string }>(
    look: () => Promise<T>,
    while_: string[],
    first?: T,
  ): Promise<T> {
    const { pollMs } = this.#stage.settings.times;
    let item = first ?? await look();
    for (let pause = pollMs; while_.includes(item.status); pause *= 1.5) {
      const wait = Math.min(this.#transport.retryAfterMs ?? pause, 10 * pollMs);
      await sleep(wait, undefined, { signal: this.#signal });
      item = await look();
    }
    return item;
  }

  #check({ cert, key }: Certificate): void {
    const { names } = this.#stage.settings;
    try {
      const [leaf] = parseChain(cert, "from the CA");
      const covered = factsOf(cert).names;
      const fits = leaf.checkPrivateKey(parseKey(key, "of the order")) &&
        names.every((name) => coversName(covered, name));
      if (fits) return;
    } catch {
      // Said below.
    }
    throw new IssueError("the CA sent a certificate that is not for these names and this key");
  }
}

/** Whether asking for the account again would be refused again. */
function refuses(problem: AcmeProblem): boolean {
  return problem.mistake ||
    (problem.status >= 400 && problem.status < 429 && problem.type !== "badNonce");
}

/** Why the CA calls an authorization invalid. */
function reasonOf(authorization: Authorization, { url }: Challenge): string {
  const { error } = authorization.challenges.find((c) => c.url === url) ?? {};
  const { detail } = (error ?? {}) as { detail?: unknown };
  return printable(String(detail ?? authorization.status));
}

/** Any failure as one sentence about the name. */
function sentence(error: unknown, settings: AcmeSettings, signal: AbortSignal): IssueError {
  const start = `Cannot get a certificate for ${settings.hostname}`;
  if (signal.aborted) {
    const { attemptMs } = settings.times;
    return signal.reason instanceof DOMException && signal.reason.name === "TimeoutError"
      ? new IssueError(`${start}: the CA took longer than ${Math.round(attemptMs / 1000)} s`)
      : new IssueError(`${start}: stopped while asking`);
  }
  if (error instanceof IssueError) {
    return new IssueError(`${start}: ${error.message}`, error.mistake, error.retryAfterMs);
  }
  if (error instanceof UnreachableError) {
    return new IssueError(
      `${start}: the CA cannot be reached (${error.message}); check the network, --acme-directory ` +
        "and --acme-ca",
    );
  }
  if (error instanceof AcmeProblem) {
    return new IssueError(
      `${start}: the CA refuses (${error.message})`,
      error.mistake,
      error.retryAfterMs ?? (error.type === "rateLimited" ? settings.times.maxRetryMs : undefined),
    );
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new IssueError(`${start}: ${printable(reason)}`);
}
