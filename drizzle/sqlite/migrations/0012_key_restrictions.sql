ALTER TABLE `api_keys` ADD `networks` text;--> statement-breakpoint
ALTER TABLE `api_keys` ADD `rotated_until` integer;