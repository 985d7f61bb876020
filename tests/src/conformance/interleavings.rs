//! Random interleavings of several clients, each with an engine of the adapter.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Value, json};
use tessera::{Clock as _, Component};

use super::{Cell as Checked, Language, MANNERS, runtime};
use crate::adapter::process::{Process, ProcessAdapter};
use crate::adapter::{Args, Configuration, Key};
use crate::dice::Dice;
use crate::interleave::calls::Told;
use crate::interleave::engine::Engine;
use crate::interleave::engines::{KEY, capabilities, policy};
use crate::interleave::explore::drawn_with;
use crate::interleave::plan::{Act, Event, Fault, Plan};
use crate::interleave::player::Live;
use crate::interleave::report::Report;
use crate::interleave::run::Start;
use crate::interleave::store::{Board, BoardClock, SteppedStore};

/// The number of clients.
const CLIENTS: usize = 6;

/// An engine of the adapter.
#[derive(Clone)]
struct Remote {
    adapter: ProcessAdapter<SteppedStore>,
    host: String,
    /// The number of its sessions so far.
    sessions: Rc<Cell<u32>>,
}

/// Converts an error of an adapter to a result of the model.
fn refused(error: &Value) -> Told {
    match error["error"].as_str().unwrap_or_default() {
        "missing" | "closed" => Told::Missing,
        "replaced" => Told::Replaced,
        "reused" => Told::Reused,
        "too-many-sessions" => Told::TooMany,
        "contended" => Told::Contended,
        "unavailable" => Told::Unavailable,
        "outcome-unknown" => Told::Unknown,
        _ => Told::Odd(error.to_string()),
    }
}

impl Remote {
    async fn step(&self, step: &str, members: Value) -> Result<Value, Told> {
        let members = Args::new(&members).map_err(Told::Odd)?;
        let taken = self.adapter.take(step, members).await.map_err(Told::Odd)?;
        taken.map_err(|error| refused(&error))
    }

    fn name(&self) -> String {
        let number = self.sessions.get();
        self.sessions.set(number + 1);
        format!("{}.{number}", self.host)
    }

    async fn token(&self, step: &str, members: Value) -> Result<Option<String>, Told> {
        let grant = self.step(step, members).await?;
        Ok(grant["token"].as_str().map(str::to_owned))
    }
}

impl Engine for Remote {
    type Session = String;

    async fn create(&self) -> Result<String, Told> {
        let name = self.name();
        self.step("create", json!({"host": self.host, "as": name}))
            .await?;
        Ok(name)
    }

    async fn open(&self, token: &str) -> Result<String, Told> {
        let name = self.name();
        self.step("open", json!({"host": self.host, "as": name, "token": token}))
            .await?;
        Ok(name)
    }

    async fn public_id(&self, token: &str) -> Option<String> {
        let claims = self
            .step("verify", json!({"host": self.host, "token": token}))
            .await;
        Some(claims.ok()?["public-id"].as_str()?.to_owned())
    }

    async fn revoke(&self, subject: &str, public_id: &str) -> Result<bool, Told> {
        let members = json!({"host": self.host, "subject": subject, "public-id": public_id});
        Ok(self.step("revoke", members).await? == true)
    }

    async fn revoke_all(&self, subject: &str) -> Result<(), Told> {
        let members = json!({"host": self.host, "subject": subject});
        self.step("revoke-all", members).await.map(drop)
    }

    async fn seen(&self, session: &String) -> Told {
        let read = async {
            let subject = self.step("details", json!({"on": session})).await?["subject"]
                .as_str()
                .map(str::to_owned);
            let entries = self.step("entries", json!({"on": session})).await?;
            let field = |pair: &Value| {
                let text = match pair[1]["text"].as_str() {
                    Some(text) => text.to_owned(),
                    None => pair[1].to_string(),
                };
                (pair[0].as_str().unwrap_or_default().to_owned(), text)
            };
            let fields = entries.as_array().into_iter().flatten().map(field).collect();
            Ok::<_, Told>(Told::Opened { subject, fields })
        };
        read.await
            .unwrap_or_else(|told| Told::Odd(format!("an open session is {told:?}")))
    }

    async fn subject(&self, session: &String) -> Option<String> {
        let details = self.step("details", json!({"on": session})).await;
        Some(details.ok()?["subject"].as_str()?.to_owned())
    }

    async fn set(&self, session: &String, name: &str, value: &str) -> Result<(), Told> {
        let members = json!({"on": session, "name": name, "value": {"text": value}});
        self.step("set", members).await.map(drop)
    }

    async fn save(&self, session: &String) -> Result<Option<String>, Told> {
        self.token("save", json!({"on": session})).await
    }

    async fn rotate(&self, session: &String) -> Result<Option<String>, Told> {
        self.token("rotate", json!({"on": session})).await
    }

    async fn authenticate(&self, session: &String, subject: &str) -> Result<Option<String>, Told> {
        self.token("authenticate", json!({"on": session, "subject": subject}))
            .await
    }

    async fn touch(&self, session: &String) -> Result<(), Told> {
        self.step("touch", json!({"on": session})).await.map(drop)
    }

    async fn destroy(&self, session: &String) -> Result<(), Told> {
        self.step("destroy", json!({"on": session})).await.map(drop)
    }
}

/// The configuration of a plan's engines.
fn configuration(plan: &Plan) -> Configuration {
    Configuration {
        policy: policy(plan),
        preset: None,
        keys: vec![Key {
            id: KEY.0.to_owned(),
            secret: KEY.1.to_vec(),
        }],
    }
}

/// Draws a plan as wild as those of `tests/random.rs`.
fn plan(dice: &mut Dice) -> Plan {
    let program = |dice: &mut Dice| {
        let mut acts = vec![if dice.below(9) == 0 {
            Act::Enter("alice")
        } else {
            Act::Open
        }];
        for _ in 0..6 + dice.below(8) {
            // What ends sessions is rare, so that they live long enough for the rest.
            acts.push(match dice.below(81) {
                0..20 => Act::Open,
                20..50 => Act::Save(["a", "b", "c"][dice.below(3)]),
                50..65 => Act::Rotate,
                65..75 => Act::Touch,
                75..77 => Act::Login(["alice", "bob"][dice.below(2)]),
                77..79 => Act::Enter(["alice", "bob"][dice.below(2)]),
                79 => Act::Destroy,
                _ => Act::RevokeAll("alice"),
            });
        }
        acts
    };
    let programs = (0..CLIENTS).map(|_| program(dice)).collect();
    let faults = [
        Fault::Unavailable,
        Fault::Lost,
        Fault::CallerGone,
        Fault::ProcessGone,
        Fault::ProcessGoneAfter,
    ];
    let mut plan = Plan::new(programs)
        .with_events(0, &[Event::ClockJumps(10_001)])
        .failing(4, &faults);
    plan.rules.reuse_ends = dice.below(2) == 0;
    plan.rules.cap = Some(1 + dice.below(3));
    plan.rules.evicts = dice.below(2) == 0;
    plan
}

/// Creates the clients of a plan in the adapter.
fn clients(
    plan: &Plan,
    start: &Start,
    process: &Arc<Process>,
    runtime: &Rc<tokio::runtime::Runtime>,
) -> Result<Vec<Live>, String> {
    let board = Arc::new(Board::new(plan.programs.len(), &plan.clocks));
    let clock = BoardClock(Arc::clone(&board));
    let now = Arc::new(move || clock.now());
    let adapter = runtime.block_on(ProcessAdapter::begin(process, now, MANNERS[1].1))?;
    let mut clients = Vec::new();
    for (number, program) in plan.programs.iter().enumerate() {
        let host = format!("client{number}");
        let store = SteppedStore::of_client(Arc::clone(&board), capabilities(plan), number);
        let configured = adapter.configure_over(&host, configuration(plan), store);
        runtime
            .block_on(configured)?
            .map_err(|error| format!("the plan is refused: {error}"))?;
        let remote = Remote {
            adapter: adapter.clone(),
            host,
            sessions: Rc::default(),
        };
        clients.push(Live::start(
            (plan, &board),
            (&remote, Some(runtime)),
            number,
            program.clone(),
            Some(start.token.token.clone()),
        ));
    }
    Ok(clients)
}

/// Takes random runs of at least this number of steps in all, and judges each. The cell counts runs.
///
/// # Errors
/// If the adapter fails.
pub fn interleavings(language: &Language, steps: u64, seed: u64) -> Result<(Checked, Report), String> {
    let component = Component::embedded().map_err(|error| error.to_string())?;
    let runtime = Rc::new(runtime()?);
    let process = language.start()?;
    let (mut total, mut checked) = (Report::default(), Checked::default());
    for stream in 0.. {
        if total.steps >= steps {
            break;
        }
        let mut dice = Dice::new(seed, stream);
        let plan = plan(&mut dice);
        let mut failed = None;
        let ran = drawn_with(
            &plan,
            &component,
            |start| {
                clients(&plan, start, &process, &runtime).unwrap_or_else(|error| {
                    failed = Some(error);
                    Vec::new()
                })
            },
            || dice.below(1 << 16) as u64,
        );
        if let Some(error) = failed {
            return Err(error);
        }
        checked.all += 1;
        match ran {
            Ok(report) => {
                checked.passed += 1;
                total.add(&report);
            }
            Err(violation) => {
                checked.failures.push(format!("seed {seed}: {violation}"));
                break;
            }
        }
    }
    Ok((checked, total))
}
