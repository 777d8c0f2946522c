"""A slow line on a node: LISTEN TARGET, ports of its loopback. What comes back from TARGET comes at
BYTES_PER_SECOND. Runs as a program on the node, so it imports nothing of the tests."""

import asyncio
import sys

BYTES_PER_SECOND = 2_000_000
_CHUNK = 50_000


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(pause * len(data) / BYTES_PER_SECOND)
    except OSError:
        pass
    finally:
        writer.close()


async def main(listen: int, target: int) -> None:
    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(_pump(reader, far_writer, 0), _pump(far_reader, writer, 1))

    server = await asyncio.start_server(joined, "127.0.0.1", listen)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
