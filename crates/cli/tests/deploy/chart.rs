//! The Helm chart: what comes out of it.

use std::{collections::HashMap, fs};

use gtmpl::{Context, FuncError, Template, Value};
use serde_json::{Value as Json, json};

use super::{documents_of, file, selects, the, validate, words};

/// A value of a chart, as its templates see it.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(it) => Value::Bool(*it),
        Json::Number(it) => Value::Number(it.as_i64().expect("a whole number").into()),
        Json::String(it) => Value::String(it.clone()),
        Json::Array(of) => Value::Array(of.iter().map(value).collect()),
        Json::Object(of) => {
            let fields = of.iter().map(|(name, of)| (name.clone(), value(of)));
            Value::Map(fields.collect::<HashMap<_, _>>())
        }
    }
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Bool(it) => json!(it),
        Value::Number(it) => json!(it.as_i64()),
        Value::String(it) => json!(it),
        Value::Array(of) => of.iter().map(json_of).collect(),
        Value::Map(of) | Value::Object(of) => {
            let fields = of.iter().map(|(name, of)| (name.clone(), json_of(of)));
            Json::Object(fields.collect())
        }
        _ => Json::Null,
    }
}

/// Helm's `toJson`.
fn to_json(arguments: &[Value]) -> Result<Value, FuncError> {
    match arguments {
        [one] => Ok(Value::String(json_of(one).to_string())),
        _ => Err(FuncError::ExactlyXArgs("toJson".to_owned(), 1)),
    }
}

/// Everything that the chart makes of these values.
fn rendered(values: &Json) -> Vec<Json> {
    let release = json!({ "Name": "shop", "Namespace": "backups" });
    let context = value(&json!({ "Values": values, "Release": release }));
    let folder = tempfile::tempdir().unwrap();
    let mut documents = Vec::new();
    for entry in fs::read_dir(file("helm/rdump/templates")).unwrap() {
        let entry = entry.unwrap();
        let mut template = Template::default();
        template.add_func("toJson", to_json);
        let text = fs::read_to_string(entry.path()).unwrap();
        template.parse(text).unwrap();
        let text = template.render(&Context::from(context.clone())).unwrap();
        let path = folder.path().join(entry.file_name());
        fs::write(&path, &text).unwrap();
        let of_file = documents_of(&path);
        let of_file: Vec<Json> = of_file.into_iter().filter(|it| !it.is_null()).collect();
        // Of the kinds of others there are no schemas.
        if !of_file.is_empty() && of_file.iter().all(|it| it["kind"] != "ServiceMonitor") {
            assert_eq!(validate(&path), Ok(()), "{text}");
        }
        documents.extend(of_file);
    }
    documents
}

fn values() -> Json {
    documents_of(&file("helm/rdump/values.yaml")).remove(0)
}

fn of_kind<'a>(documents: &'a [Json], kind: &str) -> Vec<&'a Json> {
    documents.iter().filter(|it| it["kind"] == kind).collect()
}

#[test]
fn the_chart_makes_what_kubernetes_takes() {
    let documents = rendered(&values());
    let jobs = of_kind(&documents, "CronJob");
    let names: Vec<_> = jobs.iter().map(|it| &it["metadata"]["name"]).collect();
    assert_eq!(names, ["shop-backup", "shop-verify", "shop-prune"]);
    assert!(of_kind(&documents, "ServiceMonitor").is_empty());

    // The same as the files that are for kubectl, but for names and places.
    let plain = documents_of(&file("kubernetes/rdump.yaml"));
    let pod = |of: &Json| {
        let mut spec = of["spec"]["template"]["spec"].clone();
        let container = &mut spec["containers"][0];
        for name in ["envFrom", "env", "resources", "image"] {
            container.as_object_mut().unwrap().remove(name);
        }
        spec.as_object_mut().unwrap().remove("serviceAccountName");
        spec
    };
    let backup = the(&documents, "CronJob", "shop-backup");
    let like = the(&plain, "CronJob", "rdump-backup");
    let of_job = |it: &Json| pod(&it["spec"]["jobTemplate"]);
    assert_eq!(of_job(backup), of_job(like));
    let capture = the(&documents, "Deployment", "shop-capture");
    let like = the(&plain, "Deployment", "rdump-capture");
    assert_eq!(pod(capture), pod(like));
    let service = the(&documents, "Service", "shop-capture");
    let labels = &capture["spec"]["template"]["metadata"]["labels"];
    assert!(selects(&service["spec"]["selector"], labels));
}

#[test]
fn the_chart_makes_what_its_values_say() {
    let mut values = values();
    values["capture"]["enabled"] = json!(false);
    values["serviceMonitor"]["enabled"] = json!(true);
    values["serviceAccountAnnotations"] =
        json!({ "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/writer" });
    values["jobs"] = json!([{ "name": "copy", "schedule": "30 6 * * *", "args": ["copy", "--to", "s3://b/\"p\"", "--all"] }]);
    let documents = rendered(&values);
    assert!(of_kind(&documents, "Deployment").is_empty());
    assert_eq!(of_kind(&documents, "ServiceMonitor").len(), 1);
    let account = the(&documents, "ServiceAccount", "shop");
    let annotations = &account["metadata"]["annotations"];
    assert_eq!(
        annotations["eks.amazonaws.com/role-arn"],
        "arn:aws:iam::1:role/writer"
    );
    let [job] = of_kind(&documents, "CronJob")[..] else {
        panic!("one job");
    };
    let container = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        words(&container["args"]),
        ["copy", "--to", "s3://b/\"p\"", "--all"]
    );
}
