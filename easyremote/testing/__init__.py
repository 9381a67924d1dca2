"""What you import in your own tests of code that uses EasyRemote.

`fake_gateway` is a gateway and a node inside the test's process; `remote_mock` lets one remote
function answer what the test says; `record` and `replay` keep the answers of real calls in a file.
The fixtures ``easyremote_node`` and ``easyremote_client`` of the pytest plugin are a real gateway
and a real node. ``tests/testing/`` proves them.
"""

from easyremote.testing.fake import FakeGateway, fake_gateway
from easyremote.testing.mock import remote_mock
from easyremote.testing.recording import record, replay

__all__ = ["FakeGateway", "fake_gateway", "record", "remote_mock", "replay"]
