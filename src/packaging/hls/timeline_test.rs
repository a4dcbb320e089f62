use super::*;
use crate::media::Group;
use crate::packaging::clip::{Clip, timing, video_info};

fn timeline() -> Timeline {
    Timeline::new(&video_info(), &Terms::new(timing(), 30))
}

fn feed(timeline: &mut Timeline, group: &Group) {
    timeline.open_group(&group.head).unwrap();
    for frame in &group.frames {
        timeline.push(frame);
    }
    timeline.close_group();
}

fn text(timeline: &Timeline) -> String {
    String::from_utf8(timeline.render(Skip::No, &[]).to_vec()).unwrap()
}

#[test]
fn playlist_has_the_shape_of_the_domain_page() {
    let clip = Clip::default();
    let mut timeline = timeline();
    for id in 7..11 {
        feed(&mut timeline, &clip.group(id));
    }
    timeline.open_group(&Arc::new(clip.head(11))).unwrap();
    for index in 0..25 {
        timeline.push(&clip.frame(11, index));
    }
    let report = Report {
        uri: "../audio/media.m3u8",
        position: Position { msn: 11, part: 1 },
    };
    let playlist = timeline.render(Skip::No, &[report]);
    insta::assert_snapshot!(std::str::from_utf8(&playlist).unwrap());
}
