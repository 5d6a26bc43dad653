"""Settings, read from the environment once. Only wsgi.py and the doors see them."""

import os
import secrets
import stat
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path

import sqlalchemy as sa

from scheduler.core.sealed import KeyRing, new_key

ROOT = Path(__file__).resolve().parent
DEFAULT_DATABASE = f"sqlite:///{ROOT / 'instance' / 'emerge.db'}"
ENVIRONMENTS = ("demo", "production", "test")
DATABASES = ("sqlite", "postgresql")
MAKE_KEY = "Make one with `EMERGE_ENV=demo flask keys new`."


class Misconfigured(SystemExit):
    """The settings are not safe to start with; the text is the one clear line."""

    def __init__(self, line: str) -> None:
        super().__init__(f"Emerge Scheduler cannot start: {line}")


@dataclass(frozen=True)
class Config:
    """Everything that differs between one installation and another."""

    environment: str
    database_url: str
    secret_key: str = field(repr=False)
    keys: str = field(repr=False)
    public_url: str  # scheme and host by which patients and Twilio reach us
    trusted_proxies: int = 0
    twilio_account_sid: str = ""
    twilio_auth_token: str = field(default="", repr=False)
    twilio_messaging_service_sid: str = ""
    twilio_from: str = ""
    twilio_shared_key: str = field(default="", repr=False)
    twilio_api_url: str = ""  # only tests point this elsewhere
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    smtp_starttls: bool = True
    imap_host: str = ""  # where mail that was given back can be read
    imap_port: int = 993
    imap_user: str = ""
    imap_password: str = field(default="", repr=False)
    imap_tls: bool = True
    mail_from: str = "Emerge Wellness <appointments@localhost>"
    allowed_numbers: tuple[str, ...] = ()  # outside production only these can be texted
    texts_per_second: float = 1.0
    host: str = "127.0.0.1"  # where `flask up` listens
    port: int = 8000

    @property
    def organizer(self) -> str:
        """The address calendar entries come from: that of the mails."""
        return parseaddr(self.mail_from)[1]

    @property
    def is_demo(self) -> bool:
        """Invented people, simulated phone, printed sign-ins."""
        return self.environment == "demo"

    @property
    def is_production(self) -> bool:
        """Real people."""
        return self.environment == "production"

    @property
    def sends_by_twilio(self) -> bool:
        """Say whether texts go out through Twilio rather than to the simulated phone."""
        return bool(self.twilio_account_sid)


def from_environment() -> Config:
    """Read the settings.

    Raises:
        Misconfigured: something is missing, or unsafe for the environment; one clear line.
    """
    env = os.environ
    url = env.get("DATABASE_URL") or DEFAULT_DATABASE
    if url.startswith("postgres://"):
        url = url.replace("postgres://", "postgresql://", 1)
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        known = sa.make_url(url).get_backend_name() in DATABASES
    except (sa.exc.ArgumentError, ValueError):
        known = False
    if not known:  # not repeated here: there may be a password in it
        raise Misconfigured("DATABASE_URL is not an address of SQLite or PostgreSQL.")
    environment = env.get("EMERGE_ENV") or ("demo" if url == DEFAULT_DATABASE else "production")
    if environment not in ENVIRONMENTS:
        raise Misconfigured(f"EMERGE_ENV is {environment!r}; use one of {', '.join(ENVIRONMENTS)}.")
    local = environment != "production"
    port = int(_number("PORT", "8000", 1, 65535))
    config = Config(
        environment=environment,
        database_url=url,
        secret_key=env.get("SECRET_KEY") or (_kept("secret-key") if local else ""),
        keys=env.get("EMERGE_KEYS") or (_kept("sealing-keys") if local else ""),
        public_url=(env.get("PUBLIC_URL") or (f"http://localhost:{port}" if local else "")).rstrip(
            "/"
        ),
        trusted_proxies=int(_number("TRUSTED_PROXIES", "0", 0, 9)),
        twilio_account_sid=env.get("TWILIO_ACCOUNT_SID", ""),
        twilio_auth_token=env.get("TWILIO_AUTH_TOKEN", ""),
        twilio_messaging_service_sid=env.get("TWILIO_MESSAGING_SERVICE_SID", ""),
        twilio_from=env.get("TWILIO_FROM", ""),
        twilio_shared_key=env.get("TWILIO_SHARED_KEY", ""),
        twilio_api_url=env.get("TWILIO_API_URL", "") if environment == "test" else "",
        smtp_host=env.get("SMTP_HOST", ""),
        smtp_port=int(_number("SMTP_PORT", "587", 1, 65535)),
        smtp_user=env.get("SMTP_USER", ""),
        smtp_password=env.get("SMTP_PASSWORD", ""),
        smtp_starttls=env.get("SMTP_STARTTLS", "1") != "0",
        imap_host=env.get("IMAP_HOST", ""),
        imap_port=int(_number("IMAP_PORT", "993", 1, 65535)),
        imap_user=env.get("IMAP_USER", ""),
        imap_password=env.get("IMAP_PASSWORD", ""),
        imap_tls=env.get("IMAP_TLS", "1") != "0",
        mail_from=env.get("MAIL_FROM", "Emerge Wellness <appointments@localhost>"),
        allowed_numbers=tuple(n for n in env.get("ALLOWED_NUMBERS", "").split(",") if n),
        texts_per_second=_number("TEXTS_PER_SECOND", "1", 0.01, 1000, whole=False),
        host=env.get("HOST") or "127.0.0.1",
        port=port,
    )
    check(config)
    return config


def check(config: Config) -> None:
    """Refuse what is unsafe.

    Raises:
        Misconfigured: with the one line that says what to set.
    """
    _check_keys(config.keys)
    if config.is_demo and (config.twilio_account_sid or config.smtp_host or config.imap_host):
        raise Misconfigured(
            "a demo holds invented people and must not reach real phones or mailboxes. "
            "Unset TWILIO_*, SMTP_* and IMAP_*, or set EMERGE_ENV and DATABASE_URL for a real "
            "clinic."
        )
    if config.twilio_account_sid and not config.twilio_auth_token:
        raise Misconfigured("TWILIO_ACCOUNT_SID is set but TWILIO_AUTH_TOKEN is not.")
    if config.twilio_account_sid and not (
        config.twilio_messaging_service_sid or config.twilio_from
    ):
        raise Misconfigured("set TWILIO_MESSAGING_SERVICE_SID (or TWILIO_FROM) to send texts.")
    if not config.is_production:
        return
    if config.database_url == DEFAULT_DATABASE:
        raise Misconfigured("the default SQLite file is for demos; set DATABASE_URL.")
    if len(config.secret_key) < 32:
        raise Misconfigured(
            "set SECRET_KEY to at least 32 random characters (or EMERGE_ENV=demo to look around "
            "with invented people)."
        )
    if not config.keys:
        raise Misconfigured("set EMERGE_KEYS. " + MAKE_KEY)
    if not config.public_url.startswith("https://"):
        raise Misconfigured("set PUBLIC_URL to the https address patients use.")
    if not config.sends_by_twilio:
        raise Misconfigured("set TWILIO_ACCOUNT_SID and its companions to send texts.")


def _check_keys(keys: str) -> None:
    try:
        KeyRing().configure(keys or new_key("none-yet"))
    except ValueError:
        raise Misconfigured(
            "EMERGE_KEYS is not written name:key,name:key with keys of 32 bytes in base64. "
            + MAKE_KEY
        ) from None


def _number(name: str, default: str, least: float, most: float, *, whole: bool = True) -> float:
    """Read a number from the environment; nothing, or an empty text, means the default."""
    text = os.environ.get(name, "").strip() or default
    try:
        number = float(int(text) if whole else float(text))
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        kind = "a whole number" if whole else "a number"
        raise Misconfigured(f"{name} is {text[:20]!r}; use {kind} from {least:g} to {most:g}.")
    return number


def _kept(name: str) -> str:
    """Return a secret of this checkout, made on first use, readable by its owner only."""
    path = ROOT / "instance" / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        secret = new_key("k1") if name == "sealing-keys" else secrets.token_urlsafe(48)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(handle, "w") as file:
            file.write(secret)
    return path.read_text().strip()
