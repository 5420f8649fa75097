/** What the scenarios share: users of one control plane, and their calls. */
import assert from "node:assert/strict";
import type { ApiError } from "../../api/types.ts";
import { type Answer, TestControl, type TestOptions } from "../../testing.ts";

/** A user that calls. */
export class Person {
  constructor(readonly control: TestControl, readonly id: string, readonly token: string) {}

  call(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.control.call(method, path, this.token, body);
  }

  /** The body of an answer with this status. */
  // deno-lint-ignore no-explicit-any -- as various as the API
  async expect(status: number, method: string, path: string, body?: unknown): Promise<any> {
    const answer = await this.call(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    return answer.body;
  }

  /** Is answered with this status and this body, undefined for an empty one. */
  async refused(
    status: number,
    expected: unknown,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<void> {
    const answer = await this.call(method, path, body);
    assert.deepEqual(
      [answer.status, answer.body ?? (answer.text || undefined)],
      [status, expected],
      `${method} ${path}`,
    );
  }
}

/** A control plane with users; `email` of each is `NAME@control.test`. */
export class People {
  private constructor(readonly control: TestControl) {}

  static async start(options: TestOptions = {}): Promise<People> {
    return new People(await TestControl.start(options));
  }

  async person(name: string): Promise<Person> {
    const id = await this.control.addUser(name, `token-${name}`);
    await this.control.store.db.updateTable("users").set({ email: `${name}@control.test` })
      .where("id", "=", id).execute();
    return new Person(this.control, id, `token-${name}`);
  }

  /** Makes a user a member of another's default organization. */
  async join(member: Person, owner: Person): Promise<void> {
    const invitation = await owner.expect(201, "POST", "/api/invitations", {
      organization_id: owner.id,
      user_id: member.id,
    });
    await member.expect(204, "POST", `/api/invitations/${invitation.id}/accept`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.control[Symbol.asyncDispose]();
  }
}

/** The answer about what is not there, or not the caller's to see. */
export function notFound(resource: string): ApiError {
  return { error: "not found", resource };
}

/** The answer about what may not be done now. */
export function notAllowed(reason: string): ApiError {
  return { error: "operation not allowed", reason };
}
