//! The timeline of a drill as one SVG: who led and had a lease, writes and reads a second, and how long writes took; the
//! fault shaded, everything that was done marked.
//!
//! ```text
//!   | kill A                  | start A          marks
//!   A ████████                      ░░░░░░░░     leads (full), has a lease (pale), answers (a line)
//!   B ░░░░░░░░██████████████████████████████
//!   W ──────────────────────────────────────
//!   writes a second     two lines, one a region
//!   reads a second
//!   writes took, ms     p50 full, p99 pale; logarithmic
//! ```
use super::series::Series;
use super::watch::{Band, State};
use crate::history::Moment;
use crate::place::Place;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 1040;
const MARKS: u32 = 40;
const BAND: u32 = 22;
const PANEL: u32 = 148;
const LEFT: u32 = 64;
const RIGHT: u32 = 18;
const FONT: &str = "system-ui, sans-serif";

const INK: RGBColor = RGBColor(51, 60, 74);
const FAINT: RGBColor = RGBColor(134, 144, 158);
const GRID: RGBColor = RGBColor(232, 235, 240);
const FAULT: RGBColor = RGBColor(214, 56, 56);

pub struct Picture<'a> {
    pub series: &'a [Series],
    pub bands: &'a [Band],
    pub marks: &'a [(Moment, String)],
    pub fault: (Moment, Moment),
    pub end: Moment,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn colour(place: Place) -> RGBColor {
    match place {
        Place::A => RGBColor(37, 99, 180),
        Place::B => RGBColor(214, 120, 20),
        Place::W => RGBColor(110, 118, 130),
    }
}

fn text<'a>(size: u32, colour: &'a RGBColor, horizontal: HPos) -> TextStyle<'a> {
    TextStyle::from((FONT, size).into_font()).color(colour).pos(Pos::new(horizontal, VPos::Center))
}

/// What the drawing library can say is that a text cannot be written to.
fn drawn<T, E: std::error::Error>(result: Result<T, E>) -> Result<T> {
    result.map_err(|error| anyhow!("the timeline cannot be drawn: {error}"))
}

pub fn draw(picture: &Picture<'_>) -> Result<String> {
    let mut svg = String::new();
    let bands = BAND * Place::ALL.len() as u32 + 14;
    let height = MARKS + bands + 3 * PANEL + 24;
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let (top, below) = root.split_vertically(MARKS + bands);
        states(&top, picture)?;
        let (writes, below) = below.split_vertically(PANEL);
        let (reads, waits) = below.split_vertically(PANEL);
        rates(&writes, picture, true)?;
        rates(&reads, picture, false)?;
        latencies(&waits, picture)?;
        drawn(root.present())?;
    }
    // As wide as the page; the height follows.
    Ok(svg.replacen(&format!("width=\"{WIDTH}\" height=\"{height}\""), "class=\"timeline\"", 1))
}

/// Horizontal place of a moment.
fn across(picture: &Picture<'_>, moment: Moment) -> i32 {
    let share = moment.seconds() / picture.end.seconds().max(1e-3);
    LEFT as i32 + (share.clamp(0.0, 1.0) * f64::from(WIDTH - LEFT - RIGHT)) as i32
}

fn states(area: &Area<'_>, picture: &Picture<'_>) -> Result<()> {
    let bottom = (MARKS + BAND * 3 + 14) as i32;
    let (from, to) = (across(picture, picture.fault.0), across(picture, picture.fault.1));
    drawn(area.draw(&Rectangle::new([(from, MARKS as i32 - 4), (to, bottom)], FAULT.mix(0.07).filled())))?;
    let mut free: [i32; 2] = [i32::MIN; 2];
    for (moment, words) in picture.marks {
        let at = across(picture, *moment);
        // Two lines of words; what would lie over another one goes to the second, or ends to its left.
        let wide = words.len() as i32 * 7;
        let line = usize::from(at < free[0] && at >= free[1]);
        free[line] = at + wide + 12;
        let height = 9 + 14 * line as i32;
        let stroke = FAULT.mix(0.8).stroke_width(1);
        drawn(area.draw(&PathElement::new(vec![(at, height - 6), (at, bottom)], stroke)))?;
        let right = at + wide > (WIDTH - RIGHT) as i32;
        let (place, anchor) = if right { (at - 4, HPos::Right) } else { (at + 4, HPos::Left) };
        drawn(area.draw(&Text::new(words.clone(), (place, height), text(12, &INK, anchor))))?;
    }
    for (row, place) in (0i32..).zip(Place::ALL) {
        let middle = MARKS as i32 + row * BAND as i32 + BAND as i32 / 2;
        let name = text(14, &INK, HPos::Right);
        drawn(area.draw(&Text::new(place.name(), (LEFT as i32 - 10, middle), name)))?;
        let mut own: Vec<&Band> = picture.bands.iter().filter(|band| band.place == place).collect();
        own.sort_by_key(|band| band.state);
        for band in own {
            let (from, to) = (across(picture, band.from), across(picture, band.to).max(across(picture, band.from) + 1));
            let (half, style) = match band.state {
                State::Answers => (1, FAINT.mix(0.6).filled()),
                State::Lease => (6, colour(place).mix(0.28).filled()),
                State::Leads => (8, colour(place).mix(0.92).filled()),
            };
            drawn(area.draw(&Rectangle::new([(from, middle - half), (to, middle + half)], style)))?;
        }
    }
    Ok(())
}

/// An empty panel with axes, the fault and the marks.
fn panel<'a, 'b, Y>(
    area: &'a Area<'b>,
    picture: &Picture<'_>,
    title: &str,
    values: Y,
    (low, high): (f64, f64),
) -> Result<ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y::CoordDescType>>>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64> + Ranged<ValueType = f64>,
{
    let mut builder = ChartBuilder::on(area);
    builder.margin_top(22).margin_right(RIGHT).margin_bottom(2).set_label_area_size(LabelAreaPosition::Left, LEFT);
    builder.set_label_area_size(LabelAreaPosition::Bottom, 22);
    let mut chart = drawn(builder.build_cartesian_2d(0.0..picture.end.seconds(), values))?;
    let seconds = |value: &f64| format!("{value:.0} s");
    let number = |value: &f64| {
        if *value >= 10.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
    };
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().light_line_style(TRANSPARENT).bold_line_style(GRID).axis_style(GRID).x_labels(12).y_labels(5);
    mesh.x_label_formatter(&seconds).y_label_formatter(&number);
    mesh.label_style(TextStyle::from((FONT, 12).into_font()).color(&FAINT));
    drawn(mesh.draw())?;
    let (from, to) = picture.fault;
    let shade = Rectangle::new([(from.seconds(), low), (to.seconds(), high)], FAULT.mix(0.07).filled());
    drawn(chart.draw_series([shade]))?;
    let lines = picture.marks.iter().map(|(moment, _)| {
        PathElement::new(vec![(moment.seconds(), low), (moment.seconds(), high)], FAULT.mix(0.35).stroke_width(1))
    });
    drawn(chart.draw_series(lines))?;
    drawn(area.draw(&Text::new(title.to_owned(), (LEFT as i32, 11), text(13, &INK, HPos::Left))))?;
    Ok(chart)
}

fn own<'a>(picture: &'a Picture<'_>, writes: bool) -> impl Iterator<Item = &'a Series> {
    picture.series.iter().filter(move |series| series.writes == writes)
}

/// Where a bucket is drawn: in its middle.
fn middle(series: &Series, bucket: usize) -> f64 {
    (bucket as f64 + 0.5) * series.bucket_ms as f64 / 1e3
}

fn rates(area: &Area<'_>, picture: &Picture<'_>, writes: bool) -> Result<()> {
    let most = own(picture, writes).flat_map(|series| series.rate.iter().copied()).fold(10.0, f64::max) * 1.12;
    let title = if writes { "writes a second" } else { "strong reads a second" };
    let mut chart = panel(area, picture, title, 0.0..most, (0.0, most))?;
    for series in own(picture, writes) {
        let colour = colour(series.region);
        // The last bucket is not whole.
        let last = series.rate.len().saturating_sub(1);
        let points = || series.rate[..last].iter().enumerate().map(|(bucket, rate)| (middle(series, bucket), *rate));
        drawn(chart.draw_series(AreaSeries::new(points(), 0.0, colour.mix(0.10))))?;
        drawn(chart.draw_series(LineSeries::new(points(), colour.stroke_width(2))))?;
    }
    Ok(())
}

fn latencies(area: &Area<'_>, picture: &Picture<'_>) -> Result<()> {
    let all = || own(picture, true).flat_map(|series| series.p50.iter().chain(&series.p99)).copied().flatten();
    let (low, high) = (all().fold(100.0, f64::min).max(0.5) * 0.8, all().fold(10.0, f64::max) * 1.3);
    let title = "how long writes took, ms (p50; pale: p99)";
    let marks = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4];
    let marks = marks.into_iter().filter(|mark| (low..=high).contains(mark)).collect();
    let mut chart = panel(area, picture, title, (low..high).log_scale().with_key_points(marks), (low, high))?;
    for series in own(picture, true) {
        let colour = colour(series.region);
        for (values, style) in
            [(&series.p99, colour.mix(0.35).stroke_width(1)), (&series.p50, colour.to_rgba().stroke_width(2))]
        {
            for run in runs(values) {
                let points: Vec<(f64, f64)> = run.map(|(bucket, value)| (middle(series, bucket), value)).collect();
                if let [(at, value)] = points[..] {
                    drawn(chart.draw_series([Circle::new((at, value), 1, style.filled())]))?;
                } else {
                    drawn(chart.draw_series(LineSeries::new(points, style)))?;
                }
            }
        }
    }
    Ok(())
}

/// Where something succeeded, without the gaps.
fn runs(values: &[Option<f64>]) -> Vec<impl Iterator<Item = (usize, f64)> + '_> {
    let mut found = Vec::new();
    let mut begun = None;
    for bucket in 0..=values.len() {
        match (begun, values.get(bucket).copied().flatten()) {
            (None, Some(_)) => begun = Some(bucket),
            (Some(from), None) => {
                found.push((from..bucket).filter_map(|bucket| Some((bucket, values[bucket]?))));
                begun = None;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_not_drawn_over() {
        let values = [Some(1.0), Some(2.0), None, None, Some(3.0)];
        let found: Vec<Vec<(usize, f64)>> = runs(&values).into_iter().map(Iterator::collect).collect();
        assert_eq!(found, [vec![(0, 1.0), (1, 2.0)], vec![(4, 3.0)]]);
    }

    #[test]
    fn a_drill_without_a_success_is_drawn_too() {
        let series = crate::drills::series::series(&[], Moment(5_000_000));
        let marks = [(Moment(2_000_000), "kill A & <B>".to_owned()), (Moment(2_100_000), "start A".to_owned())];
        let band = Band { place: Place::A, state: State::Leads, from: Moment(0), to: Moment(2_000_000) };
        let picture = Picture {
            series: &series,
            bands: &[band],
            marks: &marks,
            fault: (Moment(2_000_000), Moment(4_000_000)),
            end: Moment(5_000_000),
        };
        let svg = draw(&picture).expect("it can be drawn");
        assert!(svg.contains("kill A &amp; &lt;B&gt;") && svg.contains("class=\"timeline\""), "{svg}");
    }
}
