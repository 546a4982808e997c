<?php
/**
 * Tells Casebridge that a Case or Note was saved or deleted, so that it looks at once instead of at its next poll.
 *
 * Nothing depends on it arriving: whatever goes wrong here is ignored, and never stops or delays a save by more than
 * the time-out below.
 */
if (!defined('sugarEntry') || !sugarEntry) {
    die('Not A Valid Entry Point');
}

class CasebridgeHook
{
    const TIMEOUT_MILLISECONDS = 800;

    /** Only the first failure in a request is waited for; a mass update must not wait for each of its records. */
    private static $gaveUp = false;

    public function poke($bean, $event, $arguments)
    {
        try {
            $this->tell($bean, $event);
        } catch (\Throwable $failure) {
            $this->note('Casebridge was not told: ' . $failure->getMessage());
        }
    }

    private function tell($bean, $event)
    {
        $settings = $this->settings();
        if (self::$gaveUp || empty($settings['url']) || empty($settings['secret']) || !function_exists('curl_init')) {
            return;
        }
        $caseId = $this->caseOf($bean);
        if ($caseId === '') {
            return;
        }
        $body = json_encode(array(
            'case_id' => $caseId,
            'event' => (string)$event,
            'module' => (string)$bean->module_dir,
            'id' => (string)$bean->id,
        ));
        $this->send($settings, $body);
    }

    private function caseOf($bean)
    {
        if ($bean->module_dir === 'Cases') {
            return (string)$bean->id;
        }
        return isset($bean->parent_type) && $bean->parent_type === 'Cases' ? (string)$bean->parent_id : '';
    }

    private function send($settings, $body)
    {
        $timestamp = (string)time();
        $request = curl_init($settings['url']);
        curl_setopt_array($request, array(
            CURLOPT_POST => true,
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_HTTPHEADER => array(
                'Content-Type: application/json',
                'X-Casebridge-Timestamp: ' . $timestamp,
                'X-Casebridge-Signature: ' . hash_hmac('sha256', $timestamp . '.' . $body, $settings['secret']),
            ),
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_NOSIGNAL => true,
            CURLOPT_CONNECTTIMEOUT_MS => self::TIMEOUT_MILLISECONDS,
            CURLOPT_TIMEOUT_MS => self::TIMEOUT_MILLISECONDS,
        ));
        if (curl_exec($request) === false) {
            self::$gaveUp = true;
            $this->note('Casebridge was not told: ' . curl_error($request));
        }
    }

    private function settings()
    {
        $file = __DIR__ . '/settings.php';
        $settings = is_file($file) ? include $file : array();
        return is_array($settings) ? $settings : array();
    }

    private function note($words)
    {
        if (isset($GLOBALS['log']) && is_object($GLOBALS['log'])) {
            $GLOBALS['log']->warn($words);
        }
    }
}
