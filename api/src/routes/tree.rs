//! `/api/v1/tree`: the cameras by where they stand.

use crate::{authority::Authority, refusal::Refusal};
use axum::Json;
use index::model::CameraId;
use serde::Serialize;
use utoipa::ToSchema;

/// A place, with the cameras that stand there and the places within it.
#[derive(Serialize, ToSchema, Default, Debug, PartialEq, Eq)]
#[schema(no_recursion)]
pub(super) struct Place {
    /// Its own name; the node's at the root.
    name: String,
    /// Its name and those of the places around it, outermost first; empty at the root.
    path: Vec<String>,
    /// The cameras that stand here and in no place within, by number.
    #[schema(value_type = Vec<u32>)]
    cameras: Vec<CameraId>,
    /// By name.
    children: Vec<Place>,
}

/// The site tree with the cameras this person may list.
#[utoipa::path(get, path = "/api/v1/tree", responses((status = 200, body = Place), (status = 403, body = Refusal)))]
pub(super) async fn tree(authority: Authority) -> Result<Json<Place>, Refusal> {
    let mut root = Place { name: authority.node().config.name.clone(), ..Place::default() };
    for entry in authority.cameras()? {
        root.add(entry.camera.id, &entry.camera.place);
    }
    Ok(Json(root))
}

impl Place {
    fn add(&mut self, camera: CameraId, place: &[String]) {
        let Some((name, rest)) = place.split_first() else { return self.cameras.push(camera) };
        let at = match self.children.binary_search_by(|child| child.name.cmp(name)) {
            Ok(at) => at,
            Err(at) => {
                let path = self.path.iter().chain([name]).cloned().collect();
                self.children.insert(at, Self { name: name.clone(), path, ..Self::default() });
                at
            }
        };
        self.children[at].add(camera, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_stand_in_their_innermost_place() {
        let mut root = Place::default();
        for (id, place) in [(1, "东苑/3号楼"), (2, "东苑"), (3, "西苑/1号楼"), (4, "东苑/3号楼")] {
            let place: Vec<String> = place.split('/').map(str::to_owned).collect();
            root.add(CameraId::new(id).expect("a number"), &place);
        }
        let text = serde_json::to_value(&root).expect("JSON");
        assert_eq!(text["children"][0]["name"], "东苑");
        assert_eq!(text["children"][0]["cameras"], serde_json::json!([2]));
        assert_eq!(text["children"][0]["children"][0]["cameras"], serde_json::json!([1, 4]));
        assert_eq!(text["children"][0]["children"][0]["path"], serde_json::json!(["东苑", "3号楼"]));
    }
}
