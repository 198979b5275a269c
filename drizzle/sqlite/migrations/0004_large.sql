CREATE INDEX `grants_state` ON `grants` (`state`,`client_id`);--> statement-breakpoint
CREATE INDEX `issues_by_project` ON `issues` (`owner_id`,`project_key`,`key`,`id`);--> statement-breakpoint
CREATE INDEX `pages_by_space` ON `pages` (`owner_id`,`space_key`,`title`,`id`);--> statement-breakpoint
CREATE INDEX `runs_waiting` ON `runs` (`id`) WHERE "runs"."active_key" is not null;--> statement-breakpoint
CREATE INDEX `runs_parked` ON `runs` (`state`,`parked_until`) WHERE "runs"."active_key" is not null;