"""The same without async: for scripts, notebooks and the prompt."""

from backstream import BackendApi, Reasoning, fold, sync_iter


def main() -> None:
    messages = [{"role": "user", "content": "Think, then answer."}]
    chunks = []
    for chunk in sync_iter(BackendApi.create_async_generator("echo-reasoning", messages)):
        chunks.append(chunk)
        if not isinstance(chunk, Reasoning):
            print(chunk, end="", flush=True)
    reply = fold(chunks)
    print(f"\nIt thought: {reply.reasoning}")

    for chunk in sync_iter(BackendApi.create_async_generator("echo", messages)):
        if str(chunk):
            print(f"One word is enough: {chunk}")
            break  # closes the connection


if __name__ == "__main__":
    main()
