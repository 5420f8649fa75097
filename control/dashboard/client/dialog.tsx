/** Questions to the user, and what became of the answers. */
import { signal } from "@preact/signals";
import type { ComponentChildren, JSX, TargetedEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { sentence } from "./session.ts";

/** A question with fields. */
interface Question {
  title: string;
  content: ComponentChildren;
  /** The button that does it. */
  verb: string;
  danger?: boolean;
  /** Does it; what it throws is shown, and the question stays. */
  act: (form: FormData) => Promise<string | void>;
}

/** Each has a dialog of its own, which is told by its number. */
const open = signal<{ id: number; question: Question } | undefined>(undefined);
let asked = 0;
const busy = signal(false);
const problem = signal("");
const notice = signal("");
let noticeTimer = 0;

/** Asks; one question at a time. */
export function ask(question: Question): void {
  problem.value = "";
  open.value = { id: ++asked, question };
}

/** Takes back what is asked and said. */
export function dismiss(): void {
  open.value = undefined;
  notice.value = "";
}

/** Says something for a while. */
export function tell(text: string): void {
  notice.value = text;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => notice.value = "", 6_000);
}

/** Where questions and notices are shown. */
export function Dialogs(): JSX.Element {
  const shown = open.value;
  return (
    <>
      {shown && <Dialog key={shown.id} id={shown.id} {...shown.question} />}
      <p class="notice" role="status" data-shown={notice.value !== ""}>{notice.value}</p>
    </>
  );
}

function Dialog(
  { id, title, content, verb, danger, act }: Question & { id: number },
): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => ref.current?.showModal(), []);
  // A dialog says that it is closed a while later, when the next question may have been asked.
  const closed = () => {
    if (open.value?.id === id) open.value = undefined;
  };
  const submit = async (event: TargetedEvent<HTMLFormElement, SubmitEvent>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    busy.value = true;
    problem.value = "";
    try {
      const said = await act(form);
      ref.current?.close();
      if (said) tell(said);
    } catch (error) {
      problem.value = `That did not work: ${sentence(error)}`;
    } finally {
      busy.value = false;
    }
  };
  return (
    <dialog ref={ref} aria-labelledby="question" onClose={closed}>
      <form onSubmit={submit}>
        <h2 id="question">{title}</h2>
        {problem.value !== "" && <p class="error" role="alert">{problem.value}</p>}
        {content}
        <div class="actions">
          <button type="button" onClick={() => ref.current?.close()}>Cancel</button>
          <button class={danger ? "danger" : "first"} type="submit" disabled={busy.value}>
            {verb}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** A button that copies a text. */
export function Copy({ text, label }: { text: string; label: string }): JSX.Element {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      tell("Copied");
    } catch {
      tell("The browser does not let this page copy: select the text by hand");
    }
  };
  return <button type="button" onClick={() => void copy()}>{label}</button>;
}
