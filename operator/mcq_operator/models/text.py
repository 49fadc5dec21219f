"""Text that others wrote: replicas, nodes, webhooks, people."""


def one_line(text: str) -> str:
    """Return the text as one line without control characters, which would act on a reader's terminal."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
