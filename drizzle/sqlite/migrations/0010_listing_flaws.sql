ALTER TABLE `checkpoints` ADD `flaw` text;--> statement-breakpoint
ALTER TABLE `checkpoints` ADD `settled_at` integer;