"""From nothing to production in Azure: templates, package, and the scripts of one sitting (infra/README.md). Not shipped."""
