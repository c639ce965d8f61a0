//! I10, as far as a history shows it: how long connects take that no fault touches.

use crate::{
    record::Record,
    terms::{Terms, micros},
    verdict::{Invariant::I10, Sheet},
};

pub(crate) fn check(record: &Record<'_>, terms: &Terms, sheet: &mut Sheet) {
    let Some(limit) = terms.enter_within_ms else {
        sheet.judged(I10, &[], "the terms set no bound on a connect");
        return;
    };
    let mut connects = 0;
    for life in record.lives.values() {
        for socket in record.sockets_of(life).filter(|socket| socket.entered.is_some()) {
            if life.faults.touches(socket.began, socket.at) {
                continue;
            }
            connects += 1;
            if socket.at.saturating_sub(socket.began) > micros(limit) {
                sheet.find(I10, &[socket.line], || format!("a connect took longer than {limit} ms"));
            }
        }
    }
    sheet.judged(I10, &[(connects, "connects")], "nobody entered but during a fault");
}
