import { factsIn, graphs, type Known, licenseIn, packagesOf, PartsError } from "./graph.ts";

/** Files of a package in which its authors put what they want kept. */
const NOTICE = /^(licen[sc]e|copying|notice|copyright)/i;
/** Their section of a package's description, where there is no such file. */
const SECTION = /^(#+ *licen[sc]e\b.*|licen[sc]e\n-+)$/im;

const RULE = "=".repeat(78);

/** What the licence named MIT says; for packages that only name it. */
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.`;

/** Conditions of V8, which is in the runtime. */
const BSD = `Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:

* Redistributions of source code must retain the above copyright notice, this
  list of conditions and the following disclaimer.
* Redistributions in binary form must reproduce the above copyright notice,
  this list of conditions and the following disclaimer in the documentation
  and/or other materials provided with the distribution.
* Neither the name of Google Inc. nor the names of its contributors may be used
  to endorse or promote products derived from this software without specific
  prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND
ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT OWNER OR CONTRIBUTORS BE LIABLE FOR
ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES
(INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES;
LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON
ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT
(INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS
SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.`;

/** What one package's authors want kept, from its folder. */
export function noticeIn(folder: string, name: string): string {
  const read = (file: string) =>
    Deno.readTextFileSync(`${folder}/${file}`).replaceAll("\r\n", "\n").trim();
  const files = [...Deno.readDirSync(folder)].filter((one) => one.isFile && NOTICE.test(one.name))
    .map((one) => one.name).sort();
  if (files.length > 0) return files.map(read).join("\n\n");
  const readme = [...Deno.readDirSync(folder)].find((one) => /^readme\.md$/i.test(one.name));
  const text = readme === undefined ? "" : read(readme.name);
  const start = text.match(SECTION);
  const section = start === null
    ? ""
    : text.slice(start.index! + start[0].length).split(/\n#+ |\n\[[\w-]+\]: /)[0]!.trim();
  // A section that only names the licence says less than the licence.
  if (section.length > 200) return section;
  const license = licenseIn(folder);
  if (license !== "MIT") {
    throw new PartsError(`${name} has no licence text, and its licence is ${license}, not MIT`);
  }
  return `Copyright: ${authorIn(folder) ?? `the authors of ${name}`}\n\n${MIT}`;
}

function authorIn(folder: string): string | undefined {
  const { author } = factsIn(folder) as { author?: string | { name?: string } };
  const name = typeof author === "string" ? author : author?.name;
  return name === undefined || name === "" ? undefined : name;
}

/**
 * What the authors of the parts in a build want said of them: of the runtime, and of every package that
 * the program or its dashboard imports, from the packages that deno.lock names. Packages with the same
 * text are together. The same packages give the same text.
 *
 * @throws {PartsError} naming a package of which that cannot be told
 */
export async function notices(): Promise<string> {
  const all = await graphs();
  const known = Object.assign({}, ...all.map(({ npmPackages }) => npmPackages)) as Record<
    string,
    Known
  >;
  const keys = new Set(all.flatMap((graph) => [...packagesOf(graph)]));
  // One package at one version has several keys where its neighbours differ.
  const folders = new Map<string, string>();
  for (const key of keys) {
    const { name, version, localPath } = known[key]!;
    if (localPath === undefined) throw new PartsError(`${key} was never fetched; fetch it first`);
    folders.set(`${name} ${version} (${licenseIn(localPath) ?? "see below"})`, localPath);
  }
  const texts = new Map<string, string[]>();
  for (const title of [...folders.keys()].sort()) {
    const text = noticeIn(folders.get(title)!, title);
    texts.set(text, [...texts.get(text) ?? [], title]);
  }
  const part = (titles: string[], text: string) =>
    `${RULE}\n${titles.join("\n")}\n${"-".repeat(78)}\n\n${text}\n`;
  return [
    `nexd contains the software below, each under the licence that follows its name.\n`,
    part(
      [`Deno ${Deno.version.deno} (MIT), the runtime`],
      `Copyright 2018-2026 the Deno authors\n\n${MIT}\n\n` +
        "Deno is linked with libraries of others; they are listed in Cargo.lock of\n" +
        `https://github.com/denoland/deno/tree/v${Deno.version.deno}`,
    ),
    part(
      [`V8 ${Deno.version.v8} (BSD-3-Clause), in the runtime`],
      `Copyright 2014, the V8 project authors. All rights reserved.\n\n${BSD}`,
    ),
    ...[...texts].map(([text, titles]) => part(titles, text)),
  ].join("\n");
}
