CREATE INDEX `connections_state` ON `connections` (`state`,`id`);--> statement-breakpoint
CREATE INDEX `runs_created` ON `runs` (`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `runs_ended` ON `runs` (`state`,`created_at`,`id`) WHERE "runs"."active_key" is null;