// The API reference, drawn from /openapi.json.

import { address } from "./client.js";
import { find, make } from "./dom.js";
import { askForKey, key, watchKey } from "./keys.js";
import { example, limits, resolve, typeWords } from "./schema.js";
import { tryIt } from "./try.js";

const VERBS = ["get", "post", "put", "patch", "delete"];

let drawn = false;

async function load() {
  const headers = key() ? { Authorization: `Bearer ${key()}` } : {};
  const response = await fetch(address("/openapi.json"), { headers }).catch(() => null);
  find("failure").textContent = "";
  if (response?.ok) draw(await response.json());
  else if (response?.status === 401) askForKey();
  else find("failure").textContent = "The service can’t be reached. Reload the page to try again.";
}

function draw(document) {
  drawn = true;
  find("title").textContent = `${document.info.title}: API reference`;
  find("lead").textContent = document.info.description ?? "";
  find("base").textContent = address("");
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    VERBS.filter((verb) => methods[verb]).map((verb) => ({ path, verb, ...methods[verb] })),
  );
  const schemas = Object.entries(document.components?.schemas ?? {});
  find("operations").replaceChildren(...operations.map((each) => operation(each, document)));
  find("schemas").hidden = !schemas.length;
  find("schema-list").replaceChildren(...schemas.flatMap(([name, schema]) => schemaSection(name, schema)));
  contents(operations, schemas);
  // The link's target did not exist when the page opened.
  if (location.hash) find(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

const anchor = ({ verb, path }) => `${verb}${path.replaceAll(/[^\w]+/g, "-")}`;

function contents(operations, schemas) {
  const groups = Map.groupBy(operations, (each) => each.tags?.[0] ?? "other");
  const parts = [...groups].flatMap(([name, group]) => [
    make("p", {}, name),
    ...group.map((each) => make("a", { href: `#${anchor(each)}` }, each.path)),
  ]);
  parts.push(make("p", {}, "schemas"), ...schemas.map(([name]) => make("a", { href: `#schema-${name}` }, name)));
  find("contents").replaceChildren(...parts);
}

function operation(each, document) {
  const { path, verb, summary, description, parameters = [], requestBody, responses } = each;
  const body = requestBody?.content?.["application/json"]?.schema;
  const title = `title-${anchor(each)}`;
  const section = make(
    "section",
    { id: anchor(each), "aria-labelledby": title },
    make("h2", { id: title }, make("span", { className: "verb" }, verb.toUpperCase()), make("code", {}, path)),
    make("p", { className: "about" }, description ?? summary ?? ""),
  );
  if (parameters.length) section.append(make("h3", {}, "Parameters"), parameterTable(parameters));
  if (body) section.append(make("h3", {}, "Body ", ...types(body)), fieldTable(resolve(body, document), "Fields of the body"));
  section.append(make("h3", {}, "Responses"), responseTable(responses, document));
  const success = schemaOf(responses["200"]);
  if (success?.$ref || success?.properties) section.append(make("h3", {}, "Example of a response"), json(example(success, document)));
  section.append(tryIt({ verb, path, parameters, body: body && example(body, document) }));
  return section;
}

const json = (value) => make("pre", { tabIndex: 0 }, JSON.stringify(value, null, 2));
const schemaOf = (response) => Object.values(response?.content ?? {})[0]?.schema;

function types(schema) {
  return typeWords(schema).map((word) => (word.ref ? make("a", { href: `#schema-${word.ref}` }, word.ref) : word));
}

function table(label, heads, rows) {
  const head = make("tr", {}, ...heads.map((each) => make("th", { scope: "col" }, each)));
  const whole = make("table", { className: "fields", "aria-label": label }, make("thead", {}, head), make("tbody", {}, ...rows));
  return make("div", { className: "wide", tabIndex: 0, role: "group", "aria-label": label }, whole);
}

function row(name, needed, type, text) {
  return make(
    "tr",
    {},
    make("td", { className: "name" }, make("code", {}, name), ...(needed ? [make("div", { className: "needed" }, "required")] : [])),
    make("td", { className: "type" }, ...type),
    make("td", {}, ...text),
  );
}

function describe(schema, description) {
  const bounds = limits(schema);
  const text = description ?? schema.description ?? "";
  return [text, ...(bounds ? [make("div", { className: "limits" }, bounds)] : [])];
}

function fieldTable(schema, label) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, each]) =>
    row(name, schema.required?.includes(name), types(each), describe(each)),
  );
  return rows.length ? table(label, ["Field", "Type", "Meaning"], rows) : make("p", {}, ...types(schema));
}

function parameterTable(parameters) {
  const rows = parameters.map(({ name, in: place, required, schema, description }) =>
    row(name, required, [...types(schema ?? {}), `, in ${place}`], describe(schema ?? {}, description)),
  );
  return table("Parameters", ["Name", "Type", "Meaning"], rows);
}

function responseTable(responses, document) {
  const rows = Object.entries(responses).map(([status, response]) => {
    const [media] = Object.keys(response.content ?? {});
    const schema = schemaOf(response);
    const type = schema && Object.keys(schema).length ? types(schema) : [media ?? ""];
    return row(status, false, type, [response.description || resolve(schema, document).description || ""]);
  });
  return table("Responses", ["Status", "Type", "Meaning"], rows);
}

function schemaSection(name, schema) {
  return [
    make("h2", { id: `schema-${name}` }, name),
    make("p", { className: "about" }, schema.description ?? ""),
    fieldTable(schema, `Fields of ${name}`),
  ];
}

watchKey(() => drawn || load());
load();
