//! What one agent does of itself, and when: leaves, vanishes, reloads, opens a second socket, does not read.

use super::{
    chance::Chance,
    conduct::{Deed, Millis},
    world::{Mischief, Phase, Plan},
};

#[derive(Debug)]
pub(crate) struct Whims {
    mischief: Mischief,
    reads_badly: bool,
    phase: Phase,
    /// The next time that it does something.
    next: Option<Millis>,
    /// The first wait has been drawn.
    begun: bool,
    race_over: Millis,
}

impl Mischief {
    fn per_minute(&self) -> f64 {
        self.churn + self.vanish + self.reload + self.double
    }

    fn choose(&self, chance: &mut Chance) -> Deed {
        let away = u64::try_from(self.away.as_millis()).unwrap_or(u64::MAX);
        let mut left = chance.unit() * self.per_minute();
        let mut is_it = |share: f64| {
            left -= share;
            left < 0.0
        };
        if is_it(self.churn) {
            Deed::Leave { pause: chance.up_to(away) }
        } else if is_it(self.vanish) {
            Deed::Vanish { pause: chance.up_to(away) }
        } else if is_it(self.reload) {
            Deed::Reload { remembers: chance.happens(0.5) }
        } else {
            Deed::Double
        }
    }
}

impl Whims {
    pub(crate) fn new(plan: &Plan, chance: &mut Chance) -> Self {
        Self {
            mischief: plan.mischief,
            reads_badly: chance.happens(plan.mischief.stop_reading),
            phase: Phase::Entering,
            next: None,
            begun: false,
            race_over: u64::try_from(plan.race_over.as_millis()).unwrap_or(u64::MAX),
        }
    }

    pub(crate) const fn is_a_bad_reader(&self) -> bool {
        self.reads_badly
    }

    /// Whether it stops reading when it has come in.
    pub(crate) fn reads_badly(&self) -> bool {
        self.reads_badly && self.phase < Phase::Calm
    }

    pub(crate) fn enter_phase(&mut self, phase: Phase, now: Millis) {
        self.phase = phase;
        self.begun = false;
        // Due at once, and put off by the wait that is drawn then.
        let wants = match phase {
            Phase::Wild => self.mischief.per_minute() > 0.0,
            Phase::Race => true,
            Phase::Entering | Phase::Calm | Phase::Stop => false,
        };
        self.next = wants.then_some(now);
    }

    pub(crate) const fn due(&self) -> Option<Millis> {
        self.next
    }

    /// The deed that is due, unless only the wait for it begins.
    pub(crate) fn next(&mut self, now: Millis, chance: &mut Chance) -> Option<Deed> {
        let due = self.next.filter(|due| *due <= now)?;
        let first = !std::mem::replace(&mut self.begun, true);
        if self.phase == Phase::Race {
            self.next = first.then(|| now.saturating_add(chance.up_to(self.race_over)));
            return (!first).then_some(Deed::Double);
        }
        self.next = chance.wait(self.mischief.per_minute()).map(|wait| due.saturating_add(wait).max(now));
        (!first).then(|| self.mischief.choose(chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn deeds(mischief: Mischief) -> Vec<(Millis, Deed)> {
        let mut chance = Chance::new(3, 3);
        let mut whims = Whims::new(&Plan { mischief, ..Plan::of("s", 1, 1) }, &mut chance);
        assert_eq!(whims.due(), None);
        whims.enter_phase(Phase::Wild, 1_000);
        let mut done = vec![];
        while let Some(due) = whims.due().filter(|due| *due < 3_600_000) {
            done.extend(whims.next(due, &mut chance).map(|deed| (due, deed)));
        }
        whims.enter_phase(Phase::Calm, 3_600_000);
        assert_eq!(whims.due(), None);
        done
    }

    #[test]
    fn deeds_come_as_often_as_they_should_and_in_their_shares() {
        let away = Duration::from_secs(2);
        let done = deeds(Mischief {
            churn: 1.0,
            vanish: 0.5,
            reload: 0.25,
            double: 0.25,
            away,
            ..Mischief::default()
        });
        assert!((90..150).contains(&done.len()), "{}", done.len());
        let leaves = done.iter().filter(|(_, deed)| matches!(deed, Deed::Leave { pause } if *pause <= 2_000));
        assert!((40..80).contains(&leaves.count()));
        assert!(done.iter().any(|(_, deed)| matches!(deed, Deed::Vanish { .. })));
        assert!(done.iter().any(|(_, deed)| matches!(deed, Deed::Reload { .. })));
        assert!(done.iter().any(|(_, deed)| matches!(deed, Deed::Double)));
        assert!(done[0].0 > 1_000, "not all in the first moment");
    }

    #[test]
    fn without_mischief_nothing_is_done() {
        assert_eq!(deeds(Mischief::default()), []);
    }

    #[test]
    fn in_a_race_each_opens_one_more_socket_in_its_time() {
        let mut chance = Chance::new(3, 3);
        let plan = Plan { race_over: Duration::from_secs(5), ..Plan::of("s", 1, 1) };
        let mut whims = Whims::new(&plan, &mut chance);
        whims.enter_phase(Phase::Race, 1_000);
        assert_eq!(whims.next(1_000, &mut chance), None);
        let due = whims.due().unwrap();
        assert!((1_000..=6_000).contains(&due), "{due}");
        assert_eq!(whims.next(due, &mut chance), Some(Deed::Double));
        assert_eq!(whims.due(), None);
    }
}
