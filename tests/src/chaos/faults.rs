//! What befalls a store and its services, one after the other, and whether they come back.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde_json::json;

use super::World;
use super::caller::{Caller, Said};
use super::dice::Dice;
use super::instance::Gauge;
use super::store::Place;
use crate::servers::Weather;

/// After a fault has ended all must be well within so many tries at each instance.
const MOST_TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// What can befall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL for the database.
    Killed,
    /// All connections end at once; new ones are let in.
    Cut,
    /// The first answer is cut in half, and the connection with it.
    HalfAnswered,
    /// Every way takes long.
    Slow,
    /// Everything is swallowed.
    Silent,
    /// Nobody is let in.
    Closed,
    /// SIGKILL for a service; over a database for the last alone, so that the others show what many faults leave in one.
    ServiceKilled,
    /// SIGKILL for both services at once.
    AllServicesKilled,
    /// SIGSTOP for a service, with whatever it holds.
    ServicePaused,
}

/// Where services share a database.
const OF_DATABASES: [Fault; 8] = [
    Fault::Killed,
    Fault::Cut,
    Fault::HalfAnswered,
    Fault::Slow,
    Fault::Silent,
    Fault::Closed,
    Fault::ServiceKilled,
    Fault::ServicePaused,
];
/// Those where there is no database but a file.
const OF_FILES: [Fault; 3] = [
    Fault::ServiceKilled,
    Fault::AllServicesKilled,
    Fault::ServicePaused,
];

impl Fault {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Cut => "cut",
            Self::HalfAnswered => "half answered",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::ServiceKilled => "service killed",
            Self::AllServicesKilled => "both services killed",
            Self::ServicePaused => "service paused",
        }
    }
}

/// Lets faults happen for so long, and answers what the instances took once each kind had happened.
pub(super) fn rage(world: &World, place: &Place, seed: u64, load: Duration) -> Vec<Gauge> {
    let (mut dice, began) = (Dice::new(seed, 0), Instant::now());
    let mut prober = Prober {
        caller: Caller::new(world),
        world,
        count: 0,
    };
    let mut deck = Vec::new();
    let mut warm = None;
    while began.elapsed() < load && !world.tally.is_wrong() {
        std::thread::sleep(dice.pause(200, 1000));
        if deck.is_empty() {
            deck = match place {
                Place::File => OF_FILES.to_vec(),
                _ => OF_DATABASES.to_vec(),
            };
            dice.shuffle(&mut deck);
        }
        let Some(fault) = deck.pop() else { continue };
        world.tally.strike(fault);
        strike(world, place, fault, &mut dice);
        prober.wait(fault);
        if warm.is_none() && (deck.is_empty() || began.elapsed() > load / 2) {
            warm = Some(world.gauges());
        }
    }
    warm.unwrap_or_else(|| world.gauges())
}

/// One fault, from its begin to its end.
fn strike(world: &World, place: &Place, fault: Fault, dice: &mut Dice) {
    let span = dice.pause(200, 2000);
    let last = world.instances.len() - 1;
    let victim = match (fault, place) {
        (Fault::ServiceKilled, Place::Redis(..) | Place::Sql(..)) => last,
        _ => dice.below(last + 1),
    };
    match fault {
        Fault::ServiceKilled => {
            world.instances[victim].kill();
            std::thread::sleep(span);
            world.instances[victim].restart();
        }
        Fault::AllServicesKilled => {
            world.instances.iter().for_each(|instance| instance.kill());
            std::thread::sleep(span);
            world.instances.iter().for_each(|instance| instance.restart());
        }
        Fault::ServicePaused => world.instances[victim].pause(span),
        Fault::Killed => {
            place.kill();
            std::thread::sleep(span);
            place.restart();
        }
        Fault::Cut => place.cut(),
        Fault::HalfAnswered => weather(place, Weather::CutsAnswers, span),
        Fault::Slow => weather(place, Weather::Slow(dice.pause(20, 700)), span),
        Fault::Silent => weather(place, Weather::Silent, span),
        Fault::Closed => weather(place, Weather::Closed, span),
    }
}

fn weather(place: &Place, weather: Weather, span: Duration) {
    place.set(weather);
    std::thread::sleep(span);
    if weather == Weather::Silent {
        // No connection goes on after a part of it got lost.
        place.set(Weather::Closed);
    }
    place.set(Weather::Fine);
}

/// Asks each instance until all is well again.
struct Prober<'a> {
    world: &'a World,
    caller: Caller<'a>,
    count: u64,
}

impl Prober<'_> {
    fn wait(&mut self, after: Fault) {
        for at in 0..self.world.instances.len() {
            let mut tries = 1;
            while !self.is_well(at) {
                if tries >= MOST_TRIES {
                    let (tally, after) = (&self.world.tally, after.name());
                    return tally.wrong(format!(
                        "{after}: instance {at} does not come back in {tries} tries"
                    ));
                }
                tries += 1;
                std::thread::sleep(BETWEEN_TRIES);
            }
            self.world
                .tally
                .note(|report| report.most_tries = report.most_tries.max(tries));
        }
    }

    /// A write, a read and the health are answered.
    fn is_well(&mut self, at: usize) -> bool {
        let token = &self.world.probed;
        self.count += 1;
        let body = json!({ "set": { "probe": self.count } });
        for (what, body) in [
            (("PATCH", "/v1/session"), Some(&body)),
            (("GET", "/v1/session"), None),
            (("GET", "/healthz"), None),
        ] {
            let asked = self.caller.begin(at);
            match self.caller.call(asked, what, token, body) {
                Said::Done(..) => {}
                Said::NotLoggedIn(_) => {
                    self.world
                        .tally
                        .wrong("the session that is probed: not logged in".into());
                }
                Said::Refused | Said::Unknown | Said::Lingering => return false,
            }
        }
        true
    }
}

impl World {
    /// What the instances take while nobody asks them anything.
    pub(super) fn gauges(&self) -> Vec<Gauge> {
        let _nobody = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.instances.iter().map(|instance| instance.gauge()).collect()
    }
}
