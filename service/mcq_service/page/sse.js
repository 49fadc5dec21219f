// Read server-sent events from a response's body, because EventSource can't POST.

/** The events of a byte stream: `{event, data}`, data as text. */
export async function* events(body) {
  let lines = [];
  for await (const line of readLines(body)) {
    if (line !== "") {
      lines.push(line);
      continue;
    }
    const event = parse(lines);
    lines = [];
    if (event) yield event;
  }
}

function parse(lines) {
  let event = "message";
  const data = [];
  for (const line of lines) {
    const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line);
    if (name === "event") event = value;
    else if (name === "data") data.push(value);
  }
  return data.length ? { event, data: data.join("\n") } : null;
}

async function* readLines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      // A CR at the end may be half of a CRLF: wait for the next chunk.
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
