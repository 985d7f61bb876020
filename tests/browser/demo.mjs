// Goes through the demonstration as a visitor does, in a real browser:
// `node demo.mjs URL DIRECTORY`, where the directory takes screenshots.
// The browser is $CHROMIUM, or Debian's.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

const [url, directory] = process.argv.slice(2);
assert(url && directory, "usage: node demo.mjs URL DIRECTORY");
const origin = new URL(url).origin;

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const PHONE =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
const DESK = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/** What no page may do: complain in the console, fail, ask another origin. */
const wrong = [];
let requests = 0;
/** Whether the pages show messages and ends as they happen: the service's do, the Worker's do not yet. */
let hasStreams = false;

function watch(context) {
  context.setDefaultTimeout(15_000);
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong.push(`console: ${message.text()}`);
  });
  context.on("weberror", (error) => wrong.push(`script: ${error.error()}`));
  context.on("request", (request) => {
    requests += 1;
    if (new URL(request.url()).origin !== origin) wrong.push(`another origin: ${request.url()}`);
  });
  context.on("requestfailed", (request) => {
    // A page that is left, or goes offline, drops its stream.
    if (new URL(request.url()).pathname === "/events") return;
    wrong.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  context.on("response", (response) => {
    const policy = response.headers()["content-security-policy"] ?? "";
    if (!policy.startsWith("default-src 'none';")) wrong.push(`no policy: ${response.url()}`);
  });
  return context;
}

const step = (what) => console.log(`- ${what}`);
const shot = (page, name) => page.screenshot({ path: path.join(directory, `${name}.png`), fullPage: true });

async function signIn(page, name) {
  await page.goto(url);
  await page.getByLabel("Sign in as").fill(name);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: `Signed in as ${name}` }).waitFor();
}

const message = (page, text) => page.locator(".messages").getByText(text).waitFor();
const value = (page, label) => page.getByLabel(label, { exact: true }).inputValue();
const generation = async (page) => Number(await page.locator("#generation").textContent());

async function login(context) {
  const page = await context.newPage();
  await page.goto(url);
  await shot(page, "sign-in");
  await signIn(page, "alice");
  const [cookie] = (await context.cookies()).filter((cookie) => cookie.name.includes("tessera"));
  assert(cookie.httpOnly && cookie.sameSite === "Lax", "the cookie is kept from scripts and from other sites");
  assert.equal(await page.evaluate(() => document.cookie), "");

  const before = await page.locator("#idle").textContent();
  await page.waitForFunction((before) => document.querySelector("#idle").textContent !== before, before);
  step("signed in; the expiry runs");
  return page;
}

const saves = (page, label, how) =>
  page.locator("form", { has: page.getByLabel(label, { exact: true }) }).getByRole("button", { name: how });

/** One tab saves slowly, and the other another field meanwhile; answers whether it was meanwhile. */
async function saveAtOnce(first, second, city, colour) {
  await first.getByLabel("City").fill(city);
  await second.getByLabel("Colour").fill(colour);
  let ended = false;
  const slowly = first.waitForResponse((response) => response.request().method() === "POST").then(() => (ended = true));
  await saves(first, "City", "Slowly").click({ noWaitAfter: true });
  await saves(second, "Colour", "Save").click();
  await message(second, "Colour was saved.");
  const wasMeanwhile = !ended;
  await slowly;
  await message(first, "City was saved.");
  await second.reload();
  for (const page of [first, second]) {
    assert.equal(await value(page, "City"), city);
    assert.equal(await value(page, "Colour"), colour);
  }
  return wasMeanwhile;
}

async function twoTabs(context, first) {
  const second = await context.newPage();
  await second.goto(url);
  await first.goto(url);
  // On a machine that is busy the one may be over before the other begins.
  let wasMeanwhile = false;
  for (let attempt = 1; attempt <= 5 && !wasMeanwhile; attempt += 1) {
    wasMeanwhile = await saveAtOnce(first, second, `Lisbon ${attempt}`, `<b>ochre</b> & "${attempt}"`);
  }
  assert(wasMeanwhile, "the two tabs never saved at once");
  step("two tabs at once: both fields are there, as they were written");
  await saveAtOnce(first, second, "Lisbon", "ochre");
  return second;
}

async function renew(first, second) {
  const before = await generation(first);
  await first.getByRole("button", { name: "Renew the token" }).click();
  await message(first, "The token was renewed.");
  assert.equal(await generation(first), before + 1);
  await second.reload();
  assert.equal(await generation(second), before + 1);
  step("renewed; the other tab goes on");
}

const send = async (page, text) => {
  await page.getByLabel("To all your open pages").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
  await message(page, "The message was sent");
};
const received = (page) => page.locator("#log li span:first-child").allTextContents();
const arrived = (page, text) => page.locator("#log li", { hasText: text }).waitFor();

/** A message from one tab arrives in the other; offline and back, the stream continues after the last one. */
async function messages(first, second) {
  await send(first, "hello from the first tab");
  await arrived(second, "hello from the first tab");
  await send(second, "and back");
  await arrived(first, "and back");
  step("a message from another tab appears without a click");

  await first.getByRole("button", { name: "Go offline" }).click();
  for (const text of ["one", "two", "three"]) await send(second, `while away: ${text}`);
  assert(!(await received(first)).some((text) => text.startsWith("while away")));
  await first.getByRole("button", { name: "Come back" }).click();
  await arrived(first, "while away: three");
  const away = (await received(first)).filter((text) => text.startsWith("while away"));
  assert.deepEqual(away.reverse(), ["while away: one", "while away: two", "while away: three"]);
  assert(!(await received(first)).includes("Some messages may be missing here."));
  await shot(first, "messages");
  step("offline and back: what was sent meanwhile arrives, once and in order");
}

/** Waits until a page shows that its session has ended: by itself, or with the next click where it has no stream. */
async function noticesTheEnd(page) {
  const click = page.getByRole("button", { name: "Renew the token" });
  if (!hasStreams) await click.click();
  await page.getByText("You are not signed in any more.").waitFor();
}

async function endDevices(browser, first) {
  const phone = watch(await browser.newContext({ userAgent: PHONE, viewport: { width: 380, height: 780 } }));
  const desk = watch(await browser.newContext({ userAgent: DESK, colorScheme: "dark" }));
  const [onPhone, onDesk] = [await phone.newPage(), await desk.newPage()];
  await signIn(onPhone, "alice");
  await signIn(onDesk, "alice");
  const wide = await onPhone.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert(!wide, "nothing stands out of a narrow window");
  await shot(onPhone, "narrow");
  await shot(onDesk, "dark");

  await first.goto(url);
  const devices = first.locator(".devices li");
  assert.equal(await devices.count(), 3);
  await shot(first, "signed-in");
  await devices.filter({ hasText: "Safari on iPhone" }).getByRole("button", { name: "End" }).click();
  await message(first, "That device is logged out");
  assert.equal(await devices.count(), 2);
  await noticesTheEnd(onPhone);
  await onPhone.locator(".notice .badge", { hasText: "missing" }).waitFor();
  await shot(onPhone, "revoked");
  step(`one device is ended: its page says so ${hasStreams ? "without a" : "with the next"} click`);

  await first.getByRole("button", { name: "Log out everywhere else" }).click();
  await message(first, "sessions ended: 1");
  await noticesTheEnd(onDesk);
  step("logged out everywhere else");
  await Promise.all([phone.close(), desk.close()]);
}

async function logout(context, first, second) {
  const [cookie] = (await context.cookies()).filter((cookie) => cookie.name.includes("tessera"));
  await first.getByRole("button", { name: "Log out", exact: true }).click();
  await first.getByRole("heading", { name: "You are logged out" }).waitFor();
  assert.equal(await first.locator("#token").textContent(), cookie.value);
  assert.equal(await first.locator("#code").textContent(), "missing");
  assert(!first.url().includes(cookie.value), "no token in a URL");
  await shot(first, "logged-out");

  // The same token once more, as a thief would bring it.
  if (hasStreams) await second.getByRole("heading", { name: "See a session live" }).waitFor();
  await context.addCookies([cookie]);
  await second.reload();
  await second.getByText("You are not signed in any more.").waitFor();
  step("logged out: the old token is refused, and why");
}

async function withoutScript(browser) {
  const plain = watch(await browser.newContext({ javaScriptEnabled: false }));
  const page = await plain.newPage();
  await signIn(page, "bob");
  await page.getByLabel("Note").fill("without a script");
  await saves(page, "Note", "Save").click();
  await message(page, "Note was saved.");
  assert.equal(await value(page, "Note"), "without a script");
  await plain.close();
  step("all the same without JavaScript");
}

const profile = mkdtempSync(path.join(tmpdir(), "tessera-browser-"));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: FLAGS,
  env: { ...process.env, HOME: profile },
});
try {
  const context = watch(await browser.newContext({ viewport: { width: 1040, height: 780 }, locale: "en-GB" }));
  const first = await login(context);
  const second = await twoTabs(context, first);
  await renew(first, second);
  hasStreams = (await first.locator("#stream").count()) > 0;
  if (hasStreams) await messages(first, second);
  await endDevices(browser, first);
  await logout(context, first, second);
  await withoutScript(browser);
  assert.deepEqual(wrong, []);
  assert(requests > 0);
  console.log(`${requests} requests, all to ${origin}`);
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
