// What AsyncAPI's own parser makes of a document: its complaints, and what it found in it.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const SEVERITIES = ["error", "warning", "information", "hint"];

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
for (const { severity, code, path, message } of diagnostics) {
  console.log(`${SEVERITIES[severity]}: ${code} at /${path.join("/")}: ${message}`);
}
const failed = document === undefined || diagnostics.some(({ severity }) => severity < 2);
if (!failed) {
  const messages = document.messages().all();
  const described = messages.filter((message) => message.hasPayload() && message.summary());
  console.log(`AsyncAPI ${document.version()}, ${described.length} of ${messages.length} messages described`);
}
process.exit(failed || document.messages().isEmpty() ? 1 : 0);
