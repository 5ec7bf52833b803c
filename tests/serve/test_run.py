import logging
import socket
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette

from fonderie.core.errors import InputError, UsageError
from fonderie.serve.run import Address, serve, server_of


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_an_address_of_either_kind_is_listened_on_by_one(host):
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with Address(host, 0).listen() as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(listener.getsockname()[:2], timeout=5):
            pass
        with pytest.raises(UsageError, match=f"{host}:{port} cannot be listened on: .*in use"):
            Address(host, port).listen()


def test_an_address_that_is_not_ours_is_refused():
    with pytest.raises(UsageError, match=r"192\.0\.2\.1:0 cannot be listened on"):
        Address("192.0.2.1", 0).listen()


def test_a_server_leaves_the_log_of_its_process_open():
    class Kept(logging.Handler):
        closed = False

        def close(self) -> None:
            self.closed = True
            super().close()

    kept = Kept()
    server_of(app=None)
    assert not kept.closed
    kept.close()


def test_what_stops_a_service_from_beginning_is_raised_and_not_printed(capfd, caplog):
    @asynccontextmanager
    async def broken(_app):
        raise InputError("the database cannot be used at the moment: SQLITE_BUSY")
        yield

    with pytest.raises(InputError, match="SQLITE_BUSY"):
        serve(
            [],
            lambda _models: Starlette(lifespan=broken),
            address=Address(port=0),
            load=lambda _folder, _answers: pytest.fail("there is nothing to load"),
            say=lambda _text: None,
        )
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())
