// Shows /api/openapi.json as a page: every operation with its parameters, bodies and answers.
const element = (name, text, ...children) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
};

const typeOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.oneOf) return schema.oneOf.map(typeOf).join(" | ");
  if (schema.type === "array") return `${typeOf(schema.items)}[]`;
  return [schema.type].flat().join(" | ");
};

const bodyOf = (body) => Object.values(body?.content ?? {}).map((media) => typeOf(media.schema)).join(", ");

const table = (rows) => {
  const made = element("table");
  for (const cells of rows) made.append(element("tr", "", ...cells.map((cell) => element("td", cell))));
  return made;
};

const operation = (method, path, op) =>
  element(
    "details",
    "",
    element("summary", `${method.toUpperCase()} ${path}  ${op.summary ?? ""}`),
    element("p", op.description ?? ""),
    table((op.parameters ?? []).map((p) => [p.name, p.in, typeOf(p.schema), p.description ?? ""])),
    element("p", op.requestBody ? `body: ${bodyOf(op.requestBody)}` : ""),
    table(Object.entries(op.responses ?? {}).map(([status, answer]) => [status, bodyOf(answer), answer.description ?? ""])),
  );

const schema = (name, shape) =>
  element(
    "details",
    "",
    element("summary", name),
    element("p", shape.description ?? ""),
    table(Object.entries(shape.properties ?? {}).map(([key, value]) => [key, typeOf(value), value.description ?? ""])),
  );

const api = await (await fetch("/api/openapi.json")).json();
const page = document.getElementById("api");
page.replaceChildren(element("h1", `${api.info.title} ${api.info.version}`), element("p", api.info.description ?? ""));
for (const [path, item] of Object.entries(api.paths)) {
  for (const [method, op] of Object.entries(item)) page.append(operation(method, path, op));
}
page.append(element("h2", "Schemas"));
for (const [name, shape] of Object.entries(api.components?.schemas ?? {})) page.append(schema(name, shape));
