// Describe a JSON Schema (OpenAPI 3.1) in words, and build examples.

const RANGES = [
  ["minLength", "maxLength", " characters"],
  ["minItems", "maxItems", " items"],
  ["minProperties", "maxProperties", " entries"],
  ["minimum", "maximum", ""],
];

export const nameOf = (reference) => reference.split("/").pop();

/** The schema behind a `$ref`. */
export function resolve(schema, document) {
  return schema?.$ref ? (document.components?.schemas?.[nameOf(schema.$ref)] ?? {}) : (schema ?? {});
}

/** Describe a value: a list of words, and `{ref}` for schemas described elsewhere. */
export function typeWords(schema) {
  if (schema.$ref) return [{ ref: nameOf(schema.$ref) }];
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives) return alternatives.flatMap((each, index) => (index ? [" or ", ...typeWords(each)] : typeWords(each)));
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  if (schema.enum) return [schema.enum.map((each) => JSON.stringify(each)).join(" or ")];
  if (schema.type === "array") return ["list of ", ...typeWords(schema.items ?? {})];
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return ["map to ", ...typeWords(schema.additionalProperties)];
  }
  return [[schema.type ?? "any"].flat().join(" or ")];
}

/** Limits and default, as one text. */
export function limits(schema) {
  const texts = new Set();
  for (const part of [schema, ...(schema.anyOf ?? schema.oneOf ?? [])]) {
    for (const [min, max, unit] of RANGES) {
      if (part[min] !== undefined || part[max] !== undefined) texts.add(range(part[min], part[max]) + unit);
    }
    if (part.exclusiveMinimum !== undefined) texts.add(`above ${part.exclusiveMinimum}`);
    if (part.exclusiveMaximum !== undefined) texts.add(`below ${part.exclusiveMaximum}`);
    if (part.pattern) texts.add(`matches ${part.pattern}`);
  }
  if (schema.default !== undefined && schema.default !== null) texts.add(`default ${JSON.stringify(schema.default)}`);
  return [...texts].join(", ");
}

function range(min, max) {
  if (max === undefined) return `at least ${min}`;
  return min === undefined ? `at most ${max}` : `${min} to ${max}`;
}

/** An example value: the schema's own, or one of its required parts. */
export function example(schema, document, depth = 0) {
  const resolved = resolve(schema, document);
  if (resolved.examples?.length) return resolved.examples[0];
  if (resolved.example !== undefined) return resolved.example;
  if (resolved.const !== undefined) return resolved.const;
  if (resolved.enum) return resolved.enum[0];
  if (resolved.default !== undefined) return resolved.default;
  const alternatives = resolved.anyOf ?? resolved.oneOf;
  if (alternatives) return example(alternatives[0], document, depth);
  return depth > 6 ? null : byType(resolved, document, depth + 1);
}

function byType(schema, document, depth) {
  switch ([schema.type].flat()[0]) {
    case "object": {
      const properties = Object.entries(schema.properties ?? {});
      return Object.fromEntries(properties.map(([name, each]) => [name, example(each, document, depth)]));
    }
    case "array":
      return [example(schema.items ?? {}, document, depth)];
    case "integer":
    case "number":
      return schema.minimum ?? 0;
    case "boolean":
      return false;
    case "string":
      return "…";
    default:
      return null;
  }
}
