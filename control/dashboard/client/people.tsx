import { computed, effect, signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Invitation, Member } from "../../api/types.ts";
import { when } from "./devices.tsx";
import { ask, Copy, tell } from "./dialog.tsx";
import { call, request, sentence, session } from "./session.ts";
import { load, me, organizations, vpcId, vpcs } from "./state.ts";

const members = signal<Member[]>([]);
const invitations = signal<Invitation[]>([]);
/** Links of invitations that were made here, which are told once, by id. */
const links = signal<ReadonlyMap<string, string>>(new Map());
effect(() => {
  if (session.value !== "in") links.value = new Map();
});

/** The organization that the chosen VPC belongs to. */
const organization = computed(() => {
  const id = vpcs.value.find((vpc) => vpc.id === vpcId.value)?.organization_id;
  return organizations.value.find((org) => org.id === id);
});

async function refresh(): Promise<void> {
  const id = organization.value?.id;
  if (id === undefined) return;
  const [people, all] = await Promise.all([
    call<Member[]>("GET", `/api/organizations/${id}/users`),
    call<Invitation[]>("GET", "/api/invitations"),
  ]);
  if (id !== organization.value?.id) return;
  members.value = people;
  invitations.value = all;
}

/** Who shares the VPC, and who is invited. */
export function People(): JSX.Element {
  const id = organization.value?.id;
  useEffect(() => {
    members.value = [];
    invitations.value = [];
    refresh().catch((error) => tell(`Cannot read who is there: ${sentence(error)}`));
  }, [id]);
  const sent = invitations.value.filter((invitation) =>
    invitation.organization_id === id && invitation.user_id !== me.value?.id
  );
  const got = invitations.value.filter(({ user_id }) => user_id === me.value?.id);
  return (
    <>
      <p>{`Everybody in the organization ${organization.value?.name ?? ""} shares its VPCs.`}</p>
      <p>
        <button type="button" class="first" onClick={invite}>Invite</button>
      </p>
      <ul class="cards">
        {got.map((invitation) => (
          <li class="card" key={invitation.id}>
            <h2>{`You are invited to ${invitation.organization?.name ?? "an organization"}`}</h2>
            <p>
              {`By ${invitation.from?.username ?? "somebody"}, until ${
                when(invitation.expires_at)
              }`}
            </p>
            <div class="actions">
              <button type="button" class="first" onClick={() => void accept(invitation)}>
                Join
              </button>
              <Withdraw invitation={invitation} verb="Decline" />
            </div>
          </li>
        ))}
        {members.value.map((member) => <Person key={member.user_id} member={member} />)}
        {sent.map((invitation) => (
          <li class="card" key={invitation.id}>
            <h2>{invitation.email || "A user"}</h2>
            <p>{`Invited, until ${when(invitation.expires_at)}`}</p>
            <Link to={links.value.get(invitation.id)} />
            <div class="actions">
              <Withdraw invitation={invitation} verb="Withdraw" />
            </div>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Whether the user owns the organization, and so may change who is in it. */
const owns = computed(() =>
  members.value.some(({ user_id, roles }) => user_id === me.value?.id && roles.includes("owner"))
);

function Person({ member: { user, user_id, roles } }: { member: Member }): JSX.Element {
  const remove = () =>
    ask({
      title: `Remove ${user.username}?`,
      content: (
        <p>
          {`${user.username} loses every VPC of ${organization.value?.name}. `}
          The devices that this user has joined stay; delete them on the page Devices.
        </p>
      ),
      verb: "Remove",
      danger: true,
      act: async () => {
        await request("DELETE", `/api/organizations/${organization.value?.id}/users/${user_id}`);
        await refresh();
        return `${user.username} is removed`;
      },
    });
  return (
    <li class="card">
      <h2>{user.username}</h2>
      <p>{[user.full_name, roles.join(", ")].filter((text) => text !== "").join(": ")}</p>
      {owns.value && user_id !== me.value?.id && (
        <div class="actions">
          <button
            type="button"
            class="danger"
            aria-label={`Remove ${user.username}`}
            onClick={remove}
          >
            Remove
          </button>
        </div>
      )}
    </li>
  );
}

function Withdraw({ invitation, verb }: { invitation: Invitation; verb: string }): JSX.Element {
  const click = () =>
    ask({
      title: `${verb} the invitation?`,
      content: <p>It cannot be accepted any more.</p>,
      verb,
      danger: true,
      act: async () => {
        await request("DELETE", `/api/invitations/${invitation.id}`);
        await refresh();
      },
    });
  return <button type="button" class="danger" onClick={click}>{verb}</button>;
}

async function accept({ id }: Invitation): Promise<void> {
  try {
    await call("POST", `/api/invitations/${id}/accept`);
    await load();
    await refresh();
    tell("You are a member now");
  } catch (error) {
    tell(`That did not work: ${sentence(error)}`);
  }
}

/** What to give a person who has no account yet. */
function Link({ to }: { to: string | undefined }): JSX.Element | null {
  if (to === undefined) return null;
  return (
    <>
      <p>
        Nobody here has this address. Give the person this link: it is shown now, and good once.
      </p>
      <p>
        <code>{to}</code> <Copy text={to} label="Copy the link" />
      </p>
    </>
  );
}

function invite(): void {
  ask({
    title: "Invite to the organization",
    content: (
      <>
        <label>
          E-mail address
          <input name="email" type="email" required maxLength={254} autoFocus />
        </label>
        <label>
          As
          <select name="role">
            <option value="member">member: sees the VPCs, joins hosts</option>
            <option value="owner">owner: changes everything</option>
          </select>
        </label>
        <p>
          Nothing is sent: whoever signs in with this address is asked. For somebody new you get a
          link to pass on.
        </p>
      </>
    ),
    verb: "Invite",
    act: async (form) => {
      const { id, link } = await call<Invitation>("POST", "/api/invitations", {
        organization_id: organization.value?.id,
        email: String(form.get("email")),
        roles: [String(form.get("role"))],
      });
      if (link !== undefined) links.value = new Map([...links.value, [id, link]]);
      await refresh();
      return "The invitation waits";
    },
  });
}
