//! Times with a time zone.
use super::*;
use crate::TimeTz;
use crate::datetime::*;

pub(crate) fn timetz(arguments: &[Datum], at: usize) -> PgResult<TimeTz> {
    match arguments.get(at) {
        Some(Datum::TimeTz(value)) => Ok(*value),
        other => Err(wrong(other)),
    }
}

fn within_day(microseconds: i128) -> i64 {
    microseconds.rem_euclid(i128::from(MICROSECONDS_PER_DAY)) as i64
}
fn moved(value: TimeTz, by: i128) -> Datum {
    Datum::TimeTz(TimeTz { microseconds: within_day(i128::from(value.microseconds) + by), ..value })
}
pub fn plus_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(moved(timetz(a, 0)?, i128::from(interval(a, 1)?.microseconds)))
}
pub fn minus_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(moved(timetz(a, 0)?, -i128::from(interval(a, 1)?.microseconds)))
}
pub fn interval_plus(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(moved(timetz(a, 1)?, i128::from(interval(a, 0)?.microseconds)))
}

fn moment(day: i32, time: TimeTz) -> PgResult<Datum> {
    if is_infinite_date(day) {
        return Ok(Datum::Timestamp(super::cast::date_as_timestamp(day)));
    }
    let total = i128::from(day) * i128::from(MICROSECONDS_PER_DAY) + i128::from(time.greenwich());
    checked_timestamp(total).map(Datum::Timestamp)
}
pub fn date_plus(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    moment(date(a, 0)?, timetz(a, 1)?)
}
pub fn plus_date(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    moment(date(a, 1)?, timetz(a, 0)?)
}

pub fn to_time(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Time(timetz(a, 0)?.microseconds))
}
/// In the session's zone, with its offset of today.
pub fn of_time(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let zone = &environment.format().time_zone;
    let today = split_timestamp(zone.to_local(environment.transaction_time())).0 * MICROSECONDS_PER_DAY;
    let local = today + time(a, 0)?;
    let east = (local - zone.to_utc(local)) / MICROSECONDS_PER_SECOND;
    Ok(Datum::TimeTz(TimeTz { microseconds: time(a, 0)?, west: -(east as i32) }))
}
pub fn of_timestamptz(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let moment = timestamp(a, 0)?;
    if is_infinite_timestamp(moment) {
        return Ok(Datum::Null);
    }
    let zone = &environment.format().time_zone;
    let microseconds = split_timestamp(zone.to_local(moment)).1;
    Ok(Datum::TimeTz(TimeTz { microseconds, west: -zone.offset_at(moment) }))
}

fn at_offset(value: TimeTz, east: i32) -> Datum {
    let microseconds = within_day(i128::from(value.greenwich()) + i128::from(east) * 1_000_000);
    Datum::TimeTz(TimeTz { microseconds, west: -east })
}
/// `timezone(zone, timetz)`: with the zone's offset of now.
pub fn in_zone(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let zone = super::datetime::named_zone(text(a, 0)?)?;
    Ok(at_offset(timetz(a, 1)?, zone.offset_at(environment.transaction_time())))
}
pub fn at_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let TimeZone::Fixed(east) = super::calendar::offset_zone(a)? else { return Err(wrong(a.first())) };
    Ok(at_offset(timetz(a, 1)?, east))
}
pub fn rounded(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = timetz(a, 0)?;
    let microseconds = round_microseconds(value.microseconds, int(a, 1)? as i32);
    Ok(Datum::TimeTz(TimeTz { microseconds, ..value }))
}
