"""The package for SuiteCRM's Module Loader: whole, the same every time, and PHP that a PHP understands."""

import io
import json
import re
import shutil
import stat
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from crm_sync_service.connectors.suitecrm.commands import suitecrm_package_command
from crm_sync_service.connectors.suitecrm.hints import signature
from crm_sync_service.connectors.suitecrm.installable import build_package, php_text

SECRET = "it's a \\ secret of the webhook"
NEEDS_PHP = pytest.mark.skipif(shutil.which("php") is None, reason="no PHP here: install php-cli and php-curl")


def package(**changes):
    values = {"version": "1.2", "webhook_url": "https://sync.example/hooks/crm/all", "secret": SECRET, "products": {}}
    return zipfile.ZipFile(io.BytesIO(build_package(**(values | changes))))


def php(code, *, cwd):
    """What a script prints."""
    ran = subprocess.run(["php", "-r", code], capture_output=True, text=True, timeout=30, cwd=cwd, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_every_file_that_the_manifest_names_is_there():
    made = package()
    manifest = made.read("manifest.php").decode()
    named = set(re.findall(r"<basepath>/([^']+)'", manifest))
    assert named | {"manifest.php", "scripts/post_install.php", "scripts/pre_uninstall.php"} == set(made.namelist())


def test_it_is_the_same_every_time():
    assert build_package(version="1", webhook_url="", secret="", products={"a": "A"}) == build_package(
        version="1", webhook_url="", secret="", products={"a": "A"}
    )


def test_the_fields_are_placed_and_taken_away_again():
    made = package()
    for script in ("scripts/post_install.php", "scripts/pre_uninstall.php"):
        text = made.read(script).decode()
        for place in ("'Notes' => 'portal_message_id_c'", "'Cases' => 'portal_ticket_id_c'", "'Cases' => 'product_c'"):
            assert place in text
    without = package(with_product_field=False)
    assert not any(b"product_c" in without.read(name) for name in without.namelist())


def test_nothing_is_left_to_fill_in():
    made = package(products={"x'1": "A \\ B"})
    assert not any(b"@@" in made.read(name) for name in made.namelist())
    assert r"'x\'1' => 'A \\ B'," in made.read("language/application/en_us.casebridge.php").decode()


@pytest.mark.parametrize("text", ["plain", "it's", "back\\slash", "\\'", "$x {$y} \n", "@@URL@@"])
@NEEDS_PHP
def test_texts_arrive_in_php(text, tmp_path):
    assert php(f"echo json_encode({php_text(text)});", cwd=tmp_path) == json.dumps(text).replace("/", "\\/")


@NEEDS_PHP
def test_php_understands_every_file(tmp_path):
    package(products={"x": "X's"}).extractall(tmp_path)
    for file in tmp_path.rglob("*.php"):
        checked = subprocess.run(["php", "-l", str(file)], capture_output=True, text=True, timeout=30, check=False)
        assert checked.returncode == 0, checked.stdout
    fields = php("define('sugarEntry', 1); include 'manifest.php'; echo json_encode($installdefs);", cwd=tmp_path)
    assert [field["name"] for field in json.loads(fields)["custom_fields"]] == [
        "portal_ticket_id_c",
        "product_c",
        "portal_message_id_c",
    ]
    hooks = "define('sugarEntry', 1); include 'Extension/modules/Notes/LogicHooks/casebridge.php';"
    assert set(json.loads(php(f"{hooks} echo json_encode($hook_array);", cwd=tmp_path))) == {
        "after_save",
        "after_delete",
    }


class Listener:
    """What the hook sends, once."""

    def __init__(self):
        self.received = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.received.append((dict(self.headers), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def save(tmp_path, bean, *, url):
    """One save in SuiteCRM, as far as the hook sees it."""
    package(webhook_url=url).extractall(tmp_path)
    code = "define('sugarEntry', 1); include 'custom/casebridge/CasebridgeHook.php'; "
    code += f"(new CasebridgeHook())->poke((object){bean}, 'after_save', array()); echo 'saved';"
    return php(code, cwd=tmp_path)


@pytest.fixture
def listener():
    listener = Listener()
    yield listener
    listener.close()


HAS_CURL = (
    shutil.which("php") is not None
    and "curl" in subprocess.run(["php", "-m"], capture_output=True, text=True, check=False).stdout.split()
)
NEEDS_CURL = pytest.mark.skipif(not HAS_CURL, reason="no PHP with curl here: install php-cli and php-curl")
NOTE = "array('module_dir' => 'Notes', 'id' => 'n1', 'parent_type' => 'Cases', 'parent_id' => 'c1')"


@NEEDS_CURL
def test_the_hook_tells_which_case_and_signs_it(tmp_path, listener):
    assert save(tmp_path, NOTE, url=f"http://127.0.0.1:{listener.server.server_port}/hooks") == "saved"
    ((headers, body),) = listener.received
    assert json.loads(body) == {"case_id": "c1", "event": "after_save", "module": "Notes", "id": "n1"}
    assert headers["X-Casebridge-Signature"] == signature(SECRET, headers["X-Casebridge-Timestamp"], body)


@NEEDS_CURL
def test_a_note_of_something_else_is_none_of_our_business(tmp_path, listener):
    bean = "array('module_dir' => 'Notes', 'id' => 'n1', 'parent_type' => 'Accounts', 'parent_id' => 'a1')"
    assert save(tmp_path, bean, url=f"http://127.0.0.1:{listener.server.server_port}/hooks") == "saved"
    assert listener.received == []


@NEEDS_PHP
@pytest.mark.parametrize("bean", [NOTE, "array()"])
def test_a_save_goes_through_whatever_happens(tmp_path, bean):
    assert save(tmp_path, bean, url="http://127.0.0.1:9/nobody-listens").endswith("saved")


def run(*arguments, **environment):
    return CliRunner().invoke(suitecrm_package_command, arguments, env=environment)


def test_the_command_writes_a_package_that_only_its_owner_reads(tmp_path):
    file = tmp_path / "package.zip"
    done = run("--output", str(file), "--webhook-url", "https://sync.example/hooks", CRM_WEBHOOK_SECRET="s" * 20)
    assert (done.exit_code, stat.S_IMODE(file.stat().st_mode)) == (0, 0o600)
    assert "Module Loader" in done.output
    assert "s" * 20 in zipfile.ZipFile(file).read("custom/casebridge/settings.php").decode()


def test_without_an_address_there_are_no_hints(tmp_path):
    file = tmp_path / "package.zip"
    assert run("--output", str(file), "--product", "router_x1=Router X1", CRM_WEBHOOK_SECRET="s" * 20).exit_code == 0
    settings = zipfile.ZipFile(file).read("custom/casebridge/settings.php").decode()
    assert "'url' => ''" in settings
    assert "s" * 20 not in settings


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--webhook-url", "sync.example", "--secret", "s" * 20), "begins with https://"),
        (("--webhook-url", "https://sync.example", "--secret", "short"), "at least 16 characters"),
        (("--product", "no label"), "is no KEY=LABEL"),
    ],
)
def test_mistakes_are_named(tmp_path, arguments, words):
    done = run("--output", str(tmp_path / "package.zip"), *arguments)
    assert done.exit_code != 0
    assert words in done.output


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    done = run("--output", str(tmp_path / "nowhere" / "package.zip"))
    assert (done.exit_code, "cannot be written: No such file" in done.output) == (1, True)
