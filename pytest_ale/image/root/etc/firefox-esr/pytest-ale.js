// The container is the sandbox; a bar that says otherwise would lie on every page.
pref("security.sandbox.warn_unprivileged_namespaces", false);
