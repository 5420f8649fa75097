/** Where the control planes of a bench keep their state: a directory each, and a database. */
import { newSecret } from "../../../control/auth/mod.ts";
import { Client, clientConfig, parsePostgresUrl } from "../../../control/store/postgres/mod.ts";
import { type Postgres, startPostgres } from "../../lab/postgres.ts";

/** One control plane's. */
export interface State extends AsyncDisposable {
  dir: string;
  /** Of PostgreSQL. */
  databaseUrl: string | undefined;
  /** The database as a store opens it. */
  database: string;
  /** What is in `secret.key`. */
  secret: string;
}

/** A disk that is waited for, as one does who wants to keep what was answered. */
const SETTINGS = { fsync: "on", shared_buffers: "128MB" };

/** Files, or a PostgreSQL server that goes with them. */
export class Place implements AsyncDisposable {
  readonly #postgres: Postgres | undefined;
  #made = 0;

  private constructor(postgres: Postgres | undefined) {
    this.#postgres = postgres;
  }

  /** Throws a LabError where there is to be PostgreSQL and is none. */
  static async open(postgres: boolean): Promise<Place> {
    return new Place(postgres ? await startPostgres(SETTINGS) : undefined);
  }

  /** A directory and an empty database. */
  async make(): Promise<State> {
    const databaseUrl = this.#postgres && await this.#createDatabase(this.#postgres.url);
    const dir = await Deno.makeTempDir({ prefix: "nexd-bench-" });
    const secret = newSecret();
    await Deno.writeTextFile(`${dir}/secret.key`, `${secret}\n`, { mode: 0o600 });
    return {
      dir,
      databaseUrl,
      database: databaseUrl ?? `${dir}/control.db`,
      secret,
      [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
    };
  }

  async #createDatabase(url: string): Promise<string> {
    const name = `bench_${++this.#made}`;
    const client = new Client(clientConfig(parsePostgresUrl(url), true));
    await client.connect();
    await client.query(`CREATE DATABASE ${name}`);
    await client.end();
    return url.replace(/\/postgres\?/, `/${name}?`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#postgres?.stop();
  }
}
