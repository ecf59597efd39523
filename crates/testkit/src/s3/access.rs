use std::fmt;

use serde_json::{Value, json};

use super::{ACCESS_KEY, BUCKET, SECRET_KEY};

/// The account of every role here.
const ACCOUNT: &str = "000000000000";

/// Who may ask a [`SeaweedFs`](super::SeaweedFs) for what, beside the one who may do everything.
///
/// The access key of a user is its name, the secret key [`SECRET_KEY`].
#[derive(Clone, Debug, Default)]
pub struct Access {
    users: Vec<(String, Policy)>,
    roles: Vec<Role>,
}

#[derive(Clone, Debug)]
struct Role {
    name: String,
    policy: Policy,
    trusted: String,
}

impl Access {
    /// Adds a user.
    #[must_use]
    pub fn user(mut self, name: &str, policy: Policy) -> Self {
        self.users.push((name.to_owned(), policy));
        self
    }

    /// Adds a role that one user may assume, at the address of the store.
    #[must_use]
    pub fn role(mut self, name: &str, policy: Policy, trusted: &str) -> Self {
        self.roles.push(Role {
            name: name.to_owned(),
            policy,
            trusted: trusted.to_owned(),
        });
        self
    }

    /// What a role is called where it is assumed.
    pub fn role_arn(name: &str) -> String {
        format!("arn:aws:iam::{ACCOUNT}:role/{name}")
    }

    /// Users and their policies, as the store reads them.
    pub(super) fn identities(&self) -> Value {
        let mut identities = vec![json!({
            "name": "admin",
            "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        })];
        let mut policies = Vec::new();
        for (name, Policy(policy)) in &self.users {
            identities.push(json!({
                "name": name,
                "credentials": [{ "accessKey": name, "secretKey": SECRET_KEY }],
                "policyNames": [format!("of {name}")],
            }));
            policies.push(json!({ "name": format!("of {name}"), "content": policy.to_string() }));
        }
        json!({ "identities": identities, "policies": policies })
    }

    /// Roles and their policies, as the store reads them.
    pub(super) fn roles(&self) -> Value {
        let (mut roles, mut policies) = (Vec::new(), Vec::new());
        for Role {
            name,
            policy: Policy(policy),
            trusted,
        } in &self.roles
        {
            let user = format!("arn:aws:iam::{ACCOUNT}:user/{trusted}");
            roles.push(json!({
                "roleName": name,
                "roleArn": Self::role_arn(name),
                "trustPolicy": { "Version": "2012-10-17", "Statement": [{
                    "Effect": "Allow",
                    "Principal": { "AWS": user },
                    "Action": "sts:AssumeRole",
                }] },
                "attachedPolicies": [format!("of role {name}")],
            }));
            policies.push(json!({ "name": format!("of role {name}"), "document": policy }));
        }
        json!({
            "sts": {
                "issuer": "rdump-testkit",
                // Base64 of as many bytes as it takes; nothing is kept secret by it.
                "signingKey": "cmR1bXAtdGVzdGtpdC1zaWduaW5nLWtleS1vZi0zMiE=",
                "tokenDuration": "1h",
                "maxSessionLength": "12h",
            },
            "policy": { "defaultEffect": "Deny", "storeType": "memory" },
            "roles": roles,
            "policies": policies,
        })
    }
}

/// What is allowed, as a document of IAM says it.
#[derive(Clone, Debug)]
pub struct Policy(Value);

impl Policy {
    /// Reads the JSON that comes after the line `<!-- policy: NAME -->` of a page, for a prefix of the bucket.
    ///
    /// # Panics
    ///
    /// If the page has no such policy.
    pub fn in_page(page: &str, name: &str, prefix: &str) -> Self {
        let marker = format!("<!-- policy: {name} -->");
        let text = page
            .split_once(&marker)
            .and_then(|(_, rest)| rest.split_once("```json\n"))
            .and_then(|(_, rest)| rest.split_once("```"))
            .map(|(text, _)| text)
            .unwrap_or_else(|| panic!("the page has no policy {name}"));
        let text = text.replace("BUCKET", BUCKET).replace("PREFIX", prefix);
        let policy = serde_json::from_str(&text);
        Self(policy.unwrap_or_else(|error| panic!("policy {name}: {error}")))
    }

    /// Allows what another one does, too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let Self(mut other) = other;
        let statements = self.0["Statement"].as_array_mut();
        if let (Some(statements), Some(more)) = (statements, other["Statement"].as_array_mut()) {
            statements.append(more);
        }
        self
    }

    /// The actions that it allows.
    pub fn actions(&self) -> Vec<String> {
        let statements = self.0["Statement"].as_array().into_iter().flatten();
        let actions = statements.flat_map(|statement| statement["Action"].as_array());
        let actions = actions.flatten().filter_map(Value::as_str);
        actions.map(str::to_owned).collect()
    }

    /// The same without one of its actions.
    ///
    /// If that is one about uploads, it is denied besides: who may put objects may do them all, as this store sees it.
    #[must_use]
    pub fn without(&self, action: &str) -> Self {
        let mut policy = self.clone();
        if let Some(statements) = policy.0["Statement"].as_array_mut() {
            for statement in statements.iter_mut() {
                if let Some(actions) = statement["Action"].as_array_mut() {
                    actions.retain(|allowed| allowed != action);
                }
            }
            statements.retain(|statement| statement["Action"] != json!([]));
            if action.contains("Multipart") {
                statements.push(json!({ "Effect": "Deny", "Action": [action], "Resource": ["*"] }));
            }
        }
        policy
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
