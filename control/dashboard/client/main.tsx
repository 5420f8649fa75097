/** The dashboard in the browser. */
import { render } from "preact";
import { App } from "./app.tsx";
import { resume } from "./session.ts";

render(<App />, document.getElementById("app")!);
void resume();
